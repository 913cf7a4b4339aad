/**
 * P1 and P2 under `kill -9`: while a fleet publishes at 2,000 msg/s, the gateway and then the processor are killed at
 * random moments and started again. What the clients were told is safe must be stored once and counted once.
 */
import { describe, expect, test } from 'vitest';
import { systemClock } from '../../core/clock.ts';
import { silentLogger } from '../../core/log.ts';
import { defaultSimulatorOptions, type SimulatorOptions } from '../../simulator/options.ts';
import { randomStream } from '../../simulator/random.ts';
import { noise, randomWalk, step, sum } from '../../simulator/signals.ts';
import { Simulator } from '../../simulator/simulator.ts';
import { backendNames, isAvailable, openBackend } from '../support/backends.ts';
import { eventually } from '../support/eventually.ts';
import { freePort } from '../support/free-port.ts';
import { newestLedger } from '../support/ledger.ts';
import { type RoleProcess, startRole } from '../support/role-process.ts';
import { type AcknowledgedReading, countDifferences, differences } from '../support/truth.ts';

const seed = Number(process.env.SLUICE_TEST_SEED ?? 1);

describe.each(backendNames)('on %s', (name) => {
  test.skipIf(!isAvailable(name))(
    'five kills of the gateway and five of the processor lose nothing, double nothing and bend no rollup',
    { timeout: 420_000 },
    async ({ onTestFinished }) => {
      const backend = await openBackend(name);
      const mqttPort = await freePort();
      const env = { ...backend.env, SLUICE_HTTP_PORT: '0', SLUICE_MQTT_PORT: String(mqttPort) };
      const running = new Map<string, RoleProcess>();
      onTestFinished(async () => {
        for (const role of running.values()) await role.kill();
        await backend.close();
      });
      const start = async (role: string) => void running.set(role, await startRole([role], env));
      await Promise.all([start('gateway'), start('processor')]);

      const acknowledged: AcknowledgedReading[] = [];
      const fleet = new Simulator(fleetOptions(mqttPort), {
        clock: systemClock,
        log: silentLogger,
        run: 'kill',
        onAcknowledged: (reading) => void acknowledged.push(reading),
      });
      fleet.start();
      onTestFinished(() => fleet.stop());
      const random = randomStream(seed, 'kills');
      for (const role of [...Array(5).fill('gateway'), ...Array(5).fill('processor')]) {
        await systemClock.sleep(1000 + random() * 3000);
        await running.get(role)!.kill();
        await start(role);
      }
      await eventually(() => acknowledged.length > 60_000, { withinMs: 60_000, what: '60,000 acknowledgements' });
      await fleet.stop();
      // Else the windows hold readings that are not on the list.
      expect(fleet.stats()).toMatchObject({ unacknowledged: 0, skipped: 0 });

      const store = await backend.store();
      const found = await eventually(
        async () => {
          const now = await differences(acknowledged, store);
          return countDifferences(now) === 0 ? now : undefined;
        },
        { withinMs: 120_000, everyMs: 1000, what: 'everything acknowledged is stored' },
      ).catch(() => differences(acknowledged, store));
      const report = Object.fromEntries(Object.entries(found).map(([what, names]) => [what, names.slice(0, 5)]));
      expect(report, `${acknowledged.length} acknowledged`).toEqual({
        lost: [],
        doubled: [],
        altered: [],
        rollups: [],
      });

      const ledger = await newestLedger(await backend.bus(), backend.topics);
      expect(ledger.imbalances).toEqual([]);
      expect(ledger.totals.accepted).toBeGreaterThanOrEqual(acknowledged.length);
    },
  );
});

/** 200 devices × 10 messages a second, that keep what a gateway does not take for as long as it is away. */
function fleetOptions(mqttPort: number): SimulatorOptions {
  return {
    ...defaultSimulatorOptions,
    broker: `mqtt://127.0.0.1:${mqttPort}`,
    devices: 200,
    sites: ['lab', 'field'],
    profile: () => ({
      temperature: sum(2, randomWalk({ start: 20, perSecond: 0.5, min: -20, max: 60 }), noise(0.1)),
      running: step({ levels: [true, false], holdMs: 5000 }),
    }),
    intervalMs: 100,
    seed,
    maxReconnectMs: 1000,
    drainMs: 60_000,
  };
}
