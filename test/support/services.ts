/**
 * Starts what the projects `services` and `alone` need, once per run for both: a real Kafka and a real InfluxDB. What
 * cannot be had is skipped with one loud line that says how to get it; with CI=true that is an error instead.
 */
import type { TestProject } from 'vitest/node';
import { type InfluxServer, startInflux } from './influx-server.ts';
import { type KafkaServer, startKafka } from './kafka-server.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** `host:port[,…]`, or null when there is no Kafka here. */
    kafkaBrokers: string | null;
    influx: { url: string; token: string; org: string } | null;
  }
}

export default async function setup({ vitest }: TestProject): Promise<(() => Promise<void>) | undefined> {
  // What is provided at the root is there for all projects; the setup of one comes after that of the other.
  const shared = vitest.getRootProject();
  if ('kafkaBrokers' in shared.getProvidedContext()) return;
  const [kafka, influx] = await Promise.all([startKafka(), startInflux()]);
  const missing = [kafka, influx].flatMap((service) => ('skip' in service ? [service.skip] : []));
  for (const line of missing) process.stderr.write(`\n!! SKIPPED: ${line}\n`);
  if (missing.length > 0 && process.env.CI === 'true') {
    throw new Error(`nothing may be skipped on CI:\n${missing.join('\n')}`);
  }
  shared.provide('kafkaBrokers', 'skip' in kafka ? null : kafka.brokers);
  shared.provide('influx', 'skip' in influx ? null : { url: influx.url, token: influx.token, org: influx.org });
  return async () => {
    const running = [kafka, influx].filter((service): service is KafkaServer | InfluxServer => !('skip' in service));
    await Promise.all(running.map((service) => service.close()));
  };
}
