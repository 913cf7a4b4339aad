/**
 * Starts what the `services` project needs, once per run: a real Kafka and a real InfluxDB. What cannot be had is
 * skipped with one loud line that says how to get it; with CI=true that is an error instead.
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

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const [kafka, influx] = await Promise.all([startKafka(), startInflux()]);
  const missing = [kafka, influx].flatMap((service) => ('skip' in service ? [service.skip] : []));
  for (const line of missing) process.stderr.write(`\n!! SKIPPED: ${line}\n`);
  if (missing.length > 0 && process.env.CI === 'true') {
    throw new Error(`nothing may be skipped on CI:\n${missing.join('\n')}`);
  }
  project.provide('kafkaBrokers', 'skip' in kafka ? null : kafka.brokers);
  project.provide('influx', 'skip' in influx ? null : { url: influx.url, token: influx.token, org: influx.org });
  return async () => {
    const running = [kafka, influx].filter((service): service is KafkaServer | InfluxServer => !('skip' in service));
    await Promise.all(running.map((service) => service.close()));
  };
}
