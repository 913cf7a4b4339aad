/**
 * P1 to P4 under chaos, the short form of `npm run chaos`: gateways, processors, Kafka and InfluxDB are killed, frozen and
 * restarted, the disk is filled and clocks are moved, while a fleet breaks its messages on purpose. `sluice verify` says
 * whether everything that was acknowledged is accounted for.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { runChaos } from '../chaos/run.ts';
import { isAvailable } from '../support/backends.ts';

const seed = Number(process.env.SLUICE_TEST_SEED ?? 1);
/** 100 s of event time in 20 s: the windows of a minute at least are closed, whatever the clock says. */
const load = { seed, loadMs: 20_000, speed: 5, faults: 16, kills: 5, devices: 200, rate: 2000, waitMs: 25_000 };

describe.each(['roles', 'services'] as const)('on %s', (on) => {
  test.skipIf(on === 'services' && !isAvailable('Kafka + InfluxDB'))(
    'everything acknowledged is accounted for exactly once',
    { timeout: 240_000 },
    async () => {
      const folder = await mkdtemp(join(tmpdir(), `sluice-chaos-${on}-${seed}-`));
      const lines: string[] = [];
      const result = await runChaos({ ...load, on, folder, progress: (line) => lines.push(line) });
      const { report, missing, simulateCode, verifyCode, faults } = result;
      const killsOf = (role: string) =>
        faults.filter(({ part, kind }) => kind === 'kill' && part.startsWith(role)).length;
      const story = `seed ${seed}, evidence in ${folder}\n${lines.join('\n')}`;
      if (process.env.CI === 'true') expect(missing, 'nothing may be skipped on CI').toEqual([]);
      expect(killsOf('gateway')).toBeGreaterThan(load.kills);
      expect(killsOf('processor')).toBeGreaterThan(load.kills);
      expect(report?.problems.slice(0, 10), story).toEqual([]);
      expect({ simulateCode, verifyCode }, story).toEqual({ simulateCode: 0, verifyCode: 0 });
      expect(report?.messages.acknowledged, story).toBeGreaterThan(20_000);
      expect(report?.rollups.compared, story).toBeGreaterThan(400);
      expect(report?.alerts, story).toMatchObject({ precision: 1, recall: 1 });
      await rm(folder, { recursive: true });
    },
  );
});
