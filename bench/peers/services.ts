/** Fresh Kafka and InfluxDB of a contender's own, and the configuration of Sluice that names them. */
import { startOwnInflux } from '../../test/support/influx-server.ts';
import { startOwnKafka } from '../../test/support/kafka-server.ts';
import type { Opened } from './contender.ts';

export interface Services {
  readonly env: Record<string, string>;
  readonly pids: () => Record<string, number>;
}

/** Throws with how to get what is missing. */
export async function startServices(opened: Opened): Promise<Services> {
  const [kafka, influx] = await Promise.all([startOwnKafka(), startOwnInflux()]);
  for (const server of [kafka, influx]) if (!('skip' in server)) opened.add(server.close);
  if ('skip' in kafka || 'skip' in influx) {
    throw new Error([kafka, influx].flatMap((server) => ('skip' in server ? [server.skip] : [])).join('\n'));
  }
  const env = {
    KAFKA_BROKERS: kafka.brokers,
    INFLUX_URL: influx.url,
    INFLUX_TOKEN: influx.token,
    INFLUX_ORG: influx.org,
  };
  return { env, pids: () => ({ kafka: kafka.pid!, influxdb: influx.pid! }) };
}
