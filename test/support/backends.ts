/** What every promise is tested on: the embedded bus and store always, and real Kafka with real InfluxDB wherever they are. */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inject } from 'vitest';
import type { Bus } from '../../bus/port.ts';
import { systemClock } from '../../core/clock.ts';
import { resolveConfig } from '../../core/config.ts';
import type { Config } from '../../core/config-schema.ts';
import { silentLogger } from '../../core/log.ts';
import { type TopicNames, topicNames } from '../../core/topics.ts';
import { openBus, openStore, setUp } from '../../pipeline.ts';
import type { Store } from '../../store/port.ts';

export interface Backend {
  readonly name: 'embedded' | 'Kafka + InfluxDB';
  /** For processes started on this backend. Names in it are unique, so that runs never meet. */
  readonly env: Record<string, string>;
  readonly config: Config;
  readonly topics: TopicNames;
  /** A started bus or store of the test's own, closed with the backend. */
  bus(): Promise<Bus>;
  store(): Promise<Store>;
  close(): Promise<void>;
}

export const backendNames = ['embedded', 'Kafka + InfluxDB'] as const;

/** `false` where the real services are not to be had: their absence was said loudly at the start of the run. */
export function isAvailable(name: Backend['name']): boolean {
  return name === 'embedded' || (inject('kafkaBrokers') !== null && inject('influx') !== null);
}

/** A fresh backend with topics and buckets made. */
export async function openBackend(name: Backend['name'], over: Record<string, string> = {}): Promise<Backend> {
  const dataDir = await mkdtemp(join(tmpdir(), 'sluice-test-'));
  const env = { SLUICE_DATA_DIR: dataDir, ...(name === 'embedded' ? {} : realServices()), ...over };
  const config = resolveConfig({ env, flags: { startTimeoutMs: '60s' }, readText: () => '' });
  const opened: (Bus | Store)[] = [];
  async function open<T extends Bus | Store>(part: T): Promise<T> {
    await part.start();
    opened.push(part);
    return part;
  }
  await setUp(config, silentLogger);
  return {
    name,
    env,
    config,
    topics: topicNames(config.topics.prefix),
    bus: () => open(openBus(config, systemClock, silentLogger)),
    store: () => open(openStore(config, systemClock, silentLogger)),
    close: async () => {
      await Promise.all(opened.map((part) => part.close()));
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

function realServices(): Record<string, string> {
  const brokers = inject('kafkaBrokers');
  const influx = inject('influx');
  if (brokers === null || influx === null) throw new Error('no Kafka or no InfluxDB here');
  const run = randomBytes(4).toString('hex');
  return {
    KAFKA_BROKERS: brokers,
    SLUICE_TOPIC_PREFIX: `t${run}.`,
    INFLUX_URL: influx.url,
    INFLUX_TOKEN: influx.token,
    INFLUX_ORG: influx.org,
    INFLUX_BUCKET: `telemetry-${run}`,
    INFLUX_ROLLUP_BUCKET: `rollups-${run}`,
  };
}
