/**
 * P2 and P3 on real services while the store is away: InfluxDB stands still while readings correct what is stored, then is
 * killed inside a write. The long forms, and what happens to processors meanwhile: `npm run oracle:kafka -- --trouble …`.
 */
import { expect, inject, onTestFinished, test } from 'vitest';
import { runOracle } from '../chaos/oracle-run.ts';
import { outage } from '../chaos/troubles.ts';
import { InfluxProxy } from '../contracts/store/influx-proxy.ts';
import { isAvailable } from '../support/backends.ts';
import { startOwnInflux } from '../support/influx-server.ts';

test.skipIf(!isAvailable('Kafka + InfluxDB'))(
  'rollups, windows, alerts and open alerts are what the oracle says when InfluxDB was stopped, and killed inside a write',
  { timeout: 180_000 },
  async () => {
    const influx = await startOwnInflux();
    if ('skip' in influx) throw new Error(influx.skip);
    onTestFinished(() => influx.close());
    const proxy = new InfluxProxy(influx.url);
    const url = await proxy.listen();
    onTestFinished(() => proxy.close());
    const seed = 3;
    const result = await runOracle({
      seed,
      devices: 30,
      steps: 2000,
      loadMs: 5000,
      processors: 1,
      services: {
        KAFKA_BROKERS: inject('kafkaBrokers')!,
        INFLUX_URL: influx.url,
        INFLUX_TOKEN: influx.token,
        INFLUX_ORG: influx.org,
      },
      influxUrlOf: () => url,
      trouble: outage(seed, influx, proxy, 1500),
    });
    expect(result.differences).toEqual([]);
    expect(result.trouble.killedInWriteOf).toBeGreaterThan(0);
    expect(result.points).toBeGreaterThan(100);
  },
);
