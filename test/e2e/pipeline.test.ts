/** The whole pipeline as its user meets it: one command, independent clients, the HTTP interface. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, inject, test } from 'vitest';
import { backendNames, isAvailable, openBackend } from '../support/backends.ts';
import { eventually } from '../support/eventually.ts';
import { hasProgram, publish, run } from '../support/programs.ts';
import { startRole } from '../support/role-process.ts';

const hasMosquitto = hasProgram('mosquitto_pub', 'mosquitto-clients');
const hasKcat = hasProgram('kcat', 'kcat');

const rules = `
- name: too-warm
  severity: critical
  field: temperature
  when: { above: 30, clear: 28 }
`;

async function getJson<T>(url: string): Promise<T> {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url}: ${response.status} ${await response.text()}`);
  return (await response.json()) as T;
}

// At once: most of the time is a minute that has to pass.
describe.concurrent.each(backendNames)('on %s', (name) => {
  test.skipIf(!isAvailable(name) || !hasMosquitto)(
    'a reading published with mosquitto_pub is in the history within 2 s, in the rollup after its minute, and over the limit it is an alert',
    { timeout: 180_000 },
    async ({ onTestFinished }) => {
      const backend = await openBackend(name);
      const rulesFile = join(backend.env.SLUICE_DATA_DIR!, 'rules.yaml');
      await writeFile(rulesFile, rules);
      const env = { ...backend.env, SLUICE_RULES: rulesFile, SLUICE_MQTT_PORT: '0', SLUICE_HTTP_PORT: '0' };
      const sluice = await startRole(['start'], env);
      onTestFinished(async () => {
        await sluice.kill();
        await backend.close();
      });
      await eventually(async () => (await fetch(`${sluice.http}/readyz`)).ok, { withinMs: 20_000, what: 'ready' });

      await publish(sluice.mqttPort!, 'iot/lab/s1/telemetry', '{"temperature":31.5}');
      const query = 'site=lab&device=s1&field=temperature&from=-1h';
      const history = await eventually(
        async () => {
          const { points } = await getJson<{ points: { timeMs: number; value: number }[] }>(
            `${sluice.http}/api/history?${query}`,
          );
          return points.length > 0 ? points : undefined;
        },
        { withinMs: 2000, what: 'the reading in /api/history' },
      );
      expect(history).toMatchObject([{ value: 31.5 }]);

      const { alerts } = await eventually(async () => {
        const answer = await getJson<{ alerts: object[] }>(`${sluice.http}/api/alerts`);
        return answer.alerts.length > 0 ? answer : undefined;
      });
      expect(alerts).toMatchObject([{ rule: 'too-warm', status: 'firing', site: 'lab', device: 's1', value: 31.5 }]);

      if (name === 'Kafka + InfluxDB') await seenByOthers(backend.config, backend.topics, history[0]!.timeMs);

      const { points: rollups } = await eventually(
        async () => {
          const answer = await getJson<{ points: object[] }>(`${sluice.http}/api/history?${query}&every=1m`);
          return answer.points.length > 0 ? answer : undefined;
        },
        { withinMs: 100_000, everyMs: 500, what: 'the minute in the rollup' },
      );
      expect(rollups).toMatchObject([{ count: 1, sum: 31.5, min: 31.5, max: 31.5, mean: 31.5 }]);

      const { ledger } = await getJson<{ ledger: { balanced: boolean } }>(`${sluice.http}/api/status`);
      expect(ledger.balanced).toBe(true);
      expect(await sluice.stop()).toBe(0);
    },
  );
});

/** The same record, point and alert through programs that share no code with us. */
async function seenByOthers(
  config: Awaited<ReturnType<typeof openBackend>>['config'],
  topics: Awaited<ReturnType<typeof openBackend>>['topics'],
  timeMs: number,
): Promise<void> {
  const brokers = config.kafka.brokers!.join(',');
  if (hasKcat) {
    const kcat = (topic: string, format: string) =>
      run('kcat', ['-b', brokers, '-C', '-t', topic, '-o', 'beginning', '-e', '-q', '-f', format]);
    expect(await kcat(topics.raw, '%k %s %h\n')).toMatch(/^lab\/s1 \{"temperature":31\.5\} .*ingest\.id=/m);
    const alert = await eventually(async () => {
      const line = await kcat(topics.alerts, '%h | %s\n');
      return line.includes('"firing"') ? line : undefined;
    });
    expect(alert).toContain('ce_specversion=1.0');
    expect(alert).toContain('ce_type=io.sluice.alert.firing.v1');
  }
  const { url, token } = inject('influx')!;
  const influxql = `SELECT temperature FROM telemetry WHERE site='lab' AND device='s1'`;
  const answer = await fetch(
    `${url}/query?db=${encodeURIComponent(config.influx.bucket)}&epoch=ms&q=${encodeURIComponent(influxql)}`,
    { headers: { authorization: `Token ${token}` } },
  );
  expect(await answer.json()).toMatchObject({ results: [{ series: [{ values: [[timeMs, 31.5]] }] }] });
}
