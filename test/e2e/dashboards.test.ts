/** Every query of every dashboard answers with rows on a real InfluxDB, after readings came through the real pipeline. */
import { readdirSync, readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { connectAsync } from 'mqtt';
import { expect, inject, test } from 'vitest';
import { parse } from 'yaml';
import { isAvailable, openBackend } from '../support/backends.ts';
import { eventually } from '../support/eventually.ts';
import { startRole } from '../support/role-process.ts';

const grafana = join(import.meta.dirname, '../../deploy/grafana');
const datasources = (
  parse(readFileSync(join(grafana, 'provisioning/datasources/influxdb.yaml'), 'utf8'), { merge: true }) as {
    datasources: { uid: string; jsonData: { dbName: string } }[];
  }
).datasources;

interface Dashboard {
  readonly schemaVersion: number;
  readonly panels: { title: string; targets: { query: string; datasource: { uid: string } }[] }[];
  readonly templating: { list: { name: string; query: string; datasource: { uid: string } }[] };
  readonly annotations: { list: { name: string; target: { query: string }; datasource: { uid: string } }[] };
}

const dashboards = readdirSync(join(grafana, 'dashboards')).map(
  (file) => [file, JSON.parse(readFileSync(join(grafana, 'dashboards', file), 'utf8')) as Dashboard] as const,
);

const queries = dashboards.flatMap(([file, { panels, templating, annotations }]) => [
  ...panels.flatMap(({ title, targets }) =>
    targets.map(({ query, datasource }) => ({ name: `${file}: ${title}`, query, uid: datasource.uid })),
  ),
  ...templating.list.map(({ name, query, datasource }) => ({ name: `${file}: $${name}`, query, uid: datasource.uid })),
  ...annotations.list.map(({ name, target, datasource }) => ({
    name: `${file}: annotation ${name}`,
    query: target.query,
    uid: datasource.uid,
  })),
]);

/** What Grafana puts in the place of variables. */
function substituted(query: string): string {
  return query
    .replaceAll('$timeFilter', 'time >= now() - 1h')
    .replaceAll('$__interval', '10s')
    .replace(/\$(site|device)\b/g, '.*')
    .replaceAll('$field', 'temperature');
}

test('dashboards are of the kind that Grafana provisions from files, and use provisioned sources only', () => {
  const known = new Set(datasources.map(({ uid }) => uid));
  for (const [file, dashboard] of dashboards) {
    expect(dashboard, file).not.toHaveProperty('apiVersion');
    expect(dashboard.schemaVersion, file).toBeLessThanOrEqual(42);
  }
  expect(queries.filter(({ uid }) => !known.has(uid))).toEqual([]);
});

test.skipIf(!isAvailable('Kafka + InfluxDB'))(
  'every dashboard query returns rows after a run',
  { timeout: 120_000 },
  async ({ onTestFinished }) => {
    const backend = await openBackend('Kafka + InfluxDB');
    const rules = join(backend.env.SLUICE_DATA_DIR!, 'rules.yaml');
    await writeFile(rules, '[{name: warm, severity: warning, field: temperature, when: {above: 30, clear: 28}}]');
    const env = { ...backend.env, SLUICE_RULES: rules, SLUICE_MQTT_PORT: '0', SLUICE_HTTP_PORT: '0' };
    const sluice = await startRole(['start'], env);
    onTestFinished(async () => {
      await sluice.kill();
      await backend.close();
    });

    const client = await connectAsync(`mqtt://127.0.0.1:${sluice.mqttPort}`);
    const firstMs = Date.now() - 5 * 60_000;
    for (let i = 0; i < 30; i++) {
      const payload = { ts: firstMs + i * 10_000, seq: i, temperature: 20 + i / 2, humidity: 40 + i };
      await client.publishAsync('iot/lab/s1/telemetry', JSON.stringify(payload), { qos: 1 });
    }
    await client.endAsync();

    const { url, token } = inject('influx')!;
    const databases: Record<string, string> = {
      telemetry: backend.config.influx.bucket,
      telemetry_rollups: backend.config.influx.rollupBucket,
    };
    const rowsOf = async ({ query, uid }: (typeof queries)[number]) => {
      const { dbName } = datasources.find((source) => source.uid === uid)!.jsonData;
      const parameters = new URLSearchParams({ db: databases[dbName]!, q: substituted(query) });
      const answer = await fetch(`${url}/query?${parameters}`, { headers: { authorization: `Token ${token}` } });
      const { results, error } = (await answer.json()) as {
        results?: { series?: unknown[]; error?: string }[];
        error?: string;
      };
      const failure = error ?? results?.[0]?.error;
      if (failure !== undefined) throw new Error(`${query}: ${failure}`);
      return results?.[0]?.series?.length ?? 0;
    };
    // Nothing comes at once: a rollup after its minute, an alert after the readings before it.
    for (const query of queries) {
      await eventually(async () => (await rowsOf(query)) > 0, { withinMs: 60_000, everyMs: 500, what: query.name });
    }
  },
);
