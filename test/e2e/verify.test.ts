/** The proof as its user runs it: a fleet that writes down what it knows, a pipeline that is killed, and `sluice verify`. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFile, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, expect, test } from 'vitest';
import type { TruthMessage } from '../../core/truth.ts';
import { faultNames } from '../../simulator/faults/spec.ts';
import type { VerifyReport } from '../../verify/report.ts';
import { backendNames, isAvailable, openBackend } from '../support/backends.ts';
import { eventually } from '../support/eventually.ts';
import { freePort } from '../support/free-port.ts';
import { startRole } from '../support/role-process.ts';

const program = join(import.meta.dirname, '../../sluice.ts');
/** Short silences, so that the last windows close within seconds. */
const settings = 'processing: { sessionTimeoutMs: 6s, idleAfterMs: 2s }\n';

interface Run {
  readonly code: number | null;
  readonly out: string;
}

async function sluice(args: readonly string[], env: Record<string, string>): Promise<Run> {
  const child = spawn(process.execPath, [program, ...args], {
    env: { PATH: process.env.PATH, SLUICE_LOG_LEVEL: 'silent', ...env },
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const [out, [code]] = await Promise.all([text(child.stdout), once(child, 'close')]);
  return { code, out };
}

const rulesText = '- { name: too-warm, severity: warning, field: temperature, when: { above: 45, clear: 40 } }\n';

const sensors = ['sensor.spike', 'sensor.noise', 'sensor.null', 'sensor.unit_flip', 'sensor.type_flip'];
const others = [
  ...['clock.epoch', 'clock.seconds', 'clock.missing', 'payload.truncated', 'payload.invalid_utf8', 'payload.deep'],
  ...['network.loss', 'network.duplicate', 'network.reorder', 'network.delay', 'security.foreign_topic'],
];
/** Every fault there is, all within ten seconds. */
const faulty = {
  ...{ name: 'faulty', description: 'every fault' },
  profiles: { room: { temperature: { signal: 'sine', mean: 20, amplitude: 2, period: '5s' }, open: true } },
  fleets: [{ name: 'room', count: 20, profile: 'room', sites: ['north', 'south'], interval: '100ms' }],
  faults: [
    ...sensors.map((fault) => ({ fault, field: 'temperature', probability: '2%' })),
    ...others.map((fault) => ({ fault, probability: '2%' })),
    { fault: 'sensor.drift', devices: 'room-03', field: 'temperature', perMinute: 300, at: '2s' },
    { fault: 'sensor.stuck', devices: 'room-04', at: '3s', for: '4s' },
    { fault: 'sensor.clipping', devices: 'room-05', max: 20 },
    { fault: 'clock.skew', devices: 'room-06', perHour: '30m' },
    { fault: 'clock.jump', devices: 'room-07', by: '-20m', at: '5s', for: '2s' },
    { fault: 'clock.jump', devices: 'room-08', by: '5m', at: '5s', for: '2s' },
    { fault: 'payload.oversized', devices: 'room-09', probability: '5%' },
    { fault: 'network.dropout', devices: 'room-1*', at: '3s', for: '2s', every: '5s' },
    { fault: 'network.half_open', devices: 'room-0*', at: '4s', for: '2s' },
    { fault: 'network.reconnect_storm', at: '7s' },
    { fault: 'security.wrong_password', devices: 'room-02', probability: '20%' },
  ],
};
const labels = faultNames.filter((fault) => fault !== 'network.reconnect_storm');

// At once: most of the time is spent waiting for windows to close.
describe.concurrent.each(backendNames)('on %s', (name) => {
  test.skipIf(!isAvailable(name))(
    'everything acknowledged is accounted for after a kill -9, and what never came is named with where it was last seen',
    { timeout: 180_000 },
    async ({ onTestFinished }) => {
      const backend = await openBackend(name);
      const folder = backend.env.SLUICE_DATA_DIR!;
      const [configFile, truthFile] = [join(folder, 'sluice.yaml'), join(folder, 'truth.ndjson')];
      await writeFile(configFile, settings);
      const mqttPort = String(await freePort());
      const env = { ...backend.env, SLUICE_HTTP_PORT: '0', SLUICE_MQTT_PORT: mqttPort };
      const start = () => startRole(['start', '--config', configFile], env);
      let pipeline = await start();
      onTestFinished(async () => {
        await pipeline.kill();
        await backend.close();
      });

      const broker = ['--broker', `mqtt://127.0.0.1:${mqttPort}`];
      const load = ['-c', '20', '--rate', '400', '-L', '3000', '--drain', '60s'];
      const simulated = sluice(['simulate', ...broker, ...load, '--truth', truthFile, '--json'], {});
      await eventually(async () => (await readFile(truthFile, 'utf8')).length > 0, { withinMs: 30_000 });
      await pipeline.kill();
      pipeline = await start();
      const { code: simulatedCode, out: simulatedReport } = await simulated;
      expect(JSON.parse(simulatedReport)).toMatchObject({ acknowledged: 3000, problems: [] });
      expect(simulatedCode).toBe(0);

      const verifyArgs = ['verify', '--config', configFile, '--truth', truthFile, '--json'];
      const proved = await sluice([...verifyArgs, '--wait', '15s'], env);
      expect(JSON.parse(proved.out)).toMatchObject({ ok: true, messages: { acknowledged: 3000, lost: 0 } });
      expect(proved.code).toBe(0);

      const lines = (await readFile(truthFile, 'utf8')).trimEnd().split('\n');
      const last = JSON.parse(lines.at(-1)!) as TruthMessage;
      const never = { ...last, n: last.n + 1, digest: 'A'.repeat(43), intendedMs: last.intendedMs + 1 };
      const reading = { ...last.reading!, timeMs: last.reading!.timeMs! + 1, seq: last.n + 1 };
      await appendFile(truthFile, `${JSON.stringify({ ...never, reading })}\n`);
      const disproved = await sluice([...verifyArgs, '--wait', '2s'], env);
      expect(disproved.code).toBe(1);
      expect(JSON.parse(disproved.out)).toMatchObject({ ok: false, messages: { lost: 1 } });
      expect(disproved.out).toContain(`${last.site}/${last.device}`);
    },
  );

  test.skipIf(!isAvailable(name))(
    'every fault ends as the truth says, and alerts are raised over those that a rule can see',
    { timeout: 120_000 },
    async ({ onTestFinished }) => {
      const backend = await openBackend(name);
      const folder = backend.env.SLUICE_DATA_DIR!;
      const [config, rules] = [join(folder, 'sluice.yaml'), join(folder, 'rules.yaml')];
      const [scenario, truth] = [join(folder, 'faulty.yaml'), join(folder, 'truth.ndjson')];
      await writeFile(config, settings);
      await writeFile(rules, rulesText);
      await writeFile(scenario, JSON.stringify(faulty));
      const mqttPort = String(await freePort());
      const user = { SLUICE_MQTT_USERNAME: 'fleet', SLUICE_MQTT_PASSWORD: 'hunted' };
      const env = { ...backend.env, ...user, SLUICE_HTTP_PORT: '0', SLUICE_MQTT_PORT: mqttPort, SLUICE_RULES: rules };
      const pipeline = await startRole(['start', '--config', config], env);
      onTestFinished(async () => {
        await pipeline.kill();
        await backend.close();
      });

      const broker = ['--broker', `mqtt://127.0.0.1:${mqttPort}`];
      const run = ['--file', scenario, '--duration', '10s', '--drain', '20s', '--truth', truth, '--json'];
      const simulated = await sluice(['simulate', ...broker, ...run], user);
      expect(JSON.parse(simulated.out)).toMatchObject({ problems: [] });
      expect(simulated.code).toBe(0);

      const proved = await sluice(['verify', '--config', config, '--truth', truth, '--json', '--wait', '20s'], env);
      const report = JSON.parse(proved.out) as VerifyReport;
      expect(report).toMatchObject({ ok: true, problems: [], alerts: { precision: 1, recall: 1 } });
      expect(proved.code).toBe(0);
      expect(Object.keys(report.faults).sort()).toEqual([...labels].sort());
      for (const fault of ['sensor.spike', 'sensor.unit_flip', 'sensor.drift']) {
        expect(report.faults[fault]!.alertsRaised, fault).toBeGreaterThan(0);
      }
      expect(report.late).toBeGreaterThan(10);
    },
  );
});
