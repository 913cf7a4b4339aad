/**
 * P2 and P4 through an outage of the store: while a fleet goes on publishing, the processor waits and says so, the bus
 * keeps everything, and afterwards nothing is lost, nothing counted twice, nothing dead-lettered.
 */
import { connectAsync } from 'mqtt';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { Bus } from '../../bus/port.ts';
import { systemClock } from '../../core/clock.ts';
import { messageOf, StoreUnavailableError } from '../../core/errors.ts';
import { silentLogger } from '../../core/log.ts';
import { Gateway } from '../../gateway/gateway.ts';
import { gatewayOptions } from '../../gateway/options.ts';
import { Processor } from '../../processors/runner.ts';
import type { Store } from '../../store/port.ts';
import { type Backend, isAvailable, openBackend } from '../support/backends.ts';
import { eventually } from '../support/eventually.ts';
import { startOwnInflux } from '../support/influx-server.ts';
import { type AcknowledgedReading, countDifferences, differences } from '../support/truth.ts';
import { withMethods } from '../support/with-methods.ts';

const outageMs = Number(process.env.SLUICE_TEST_OUTAGE_MS ?? 6000);
const devices = ['s1', 's2', 's3', 's4'];
/** Between two readings of a device. */
const everyMs = 20;

interface Outage {
  begin(): Promise<void> | void;
  end(): Promise<void> | void;
}

/** Publishes until the outage is over; `store` is what the processor uses. */
async function survives(backend: Backend, store: Store, outage: Outage): Promise<void> {
  const bus = await backend.bus();
  const common = { bus, topics: backend.topics, version: 'test', clock: systemClock, log: silentLogger };
  const gateway = new Gateway({
    ...common,
    options: { ...gatewayOptions(backend.config), port: 0, tickAfterMs: 200 },
    instance: 'gateway',
  });
  const processor = new Processor({
    ...common,
    store,
    group: 'outage',
    rules: [],
    // A session shorter than the outage: the group must keep hearing of a member that waits.
    options: { ...backend.config.processing, idleAfterMs: 700, snapshotEveryMs: 500, sessionTimeoutMs: 6000 },
    instance: 'processor',
  });
  let failure: unknown = null;
  processor.failed.catch((error: unknown) => {
    failure = error;
  });
  await gateway.start();
  await processor.start();
  onTestFinished(async () => {
    await gateway.close(2000);
    await processor.close(5000);
  });

  let isOver = false;
  const fleet = publishAll(gateway.address().port, () => isOver);
  await eventually(() => acceptedBy(processor) > 100, { what: 'readings before the outage' });
  /** What `/readyz` puts together: the waiting of the processor, and the store asked now. A write may hang without an error. */
  const problems = async () => [
    ...processor.ready(),
    ...(await store.ping().then(
      () => [],
      (error: unknown) => [`store: ${messageOf(error)}`],
    )),
  ];
  expect(await problems()).toEqual([]);

  await outage.begin();
  await eventually(async () => (await problems()).length > 0, { what: 'readiness' });
  const before = acceptedBy(processor);
  const appended = gateway.status().ledger.appended;
  await systemClock.sleep(outageMs);
  for (const problem of await problems()) expect(problem).toMatch(/^store: /);
  expect(await problems()).not.toEqual([]);
  expect(gateway.ready()).toEqual([]);
  const taken = () => gateway.status().ledger.appended - appended;
  await eventually(() => taken() > outageMs / everyMs, { withinMs: 30_000, what: 'messages taken in the outage' });
  await outage.end();

  await eventually(async () => (await problems()).length === 0, { withinMs: 20_000, what: 'ready again' });
  await eventually(() => acceptedBy(processor) > before, { withinMs: 20_000, what: 'readings after the outage' });
  isOver = true;
  const acknowledged = await fleet;

  const found = await eventually(
    async () => {
      const now = await differences(acknowledged, store);
      return countDifferences(now) === 0 ? now : undefined;
    },
    { withinMs: 30_000, everyMs: 200, what: 'everything acknowledged is stored' },
  ).catch(() => differences(acknowledged, store));
  expect(found).toEqual({ lost: [], doubled: [], altered: [], rollups: [] });
  expect(acceptedBy(processor)).toBe(acknowledged.length);
  expect(await countOf(bus, backend.topics.dlq)).toBe(0);
  expect(failure).toBeNull();
}

describe('an outage of the store', () => {
  test.skipIf(!isAvailable('Kafka + InfluxDB'))(
    'InfluxDB stopped, then killed with writes that it had not answered, then back with its data',
    { timeout: 120_000 + 2 * outageMs },
    async () => {
      const influx = await startOwnInflux();
      if ('skip' in influx) throw new Error(influx.skip);
      onTestFinished(() => influx.close());
      const backend = await openBackend('Kafka + InfluxDB', {
        INFLUX_URL: influx.url,
        INFLUX_TOKEN: influx.token,
        INFLUX_ORG: influx.org,
      });
      onTestFinished(() => backend.close());
      await survives(backend, await backend.store(), {
        begin: () => void process.kill(influx.pid!, 'SIGSTOP'),
        end: async () => {
          await influx.kill();
          await influx.restart();
        },
      });
    },
  );

  test('the embedded store refusing every write', { timeout: 120_000 + 2 * outageMs }, async () => {
    const backend = await openBackend('embedded');
    onTestFinished(() => backend.close());
    const store = await backend.store();
    let isOut = false;
    const failing = withMethods(store, {
      write: (points) => (isOut ? Promise.reject(new StoreUnavailableError('the disk is full')) : store.write(points)),
    });
    const outage = {
      begin: () => {
        isOut = true;
      },
      end: () => {
        isOut = false;
      },
    };
    await survives(backend, failing, outage);
  });
});

function acceptedBy(processor: Processor): number {
  return Object.values(processor.status().partitions).reduce((sum, { ledger }) => sum + ledger.accepted, 0);
}

async function publishAll(port: number, isOver: () => boolean): Promise<AcknowledgedReading[]> {
  const firstMs = Math.floor(Date.now() / 60_000) * 60_000 - 3_600_000;
  const lists = await Promise.all(
    devices.map(async (device, d) => {
      const acknowledged: AcknowledgedReading[] = [];
      const client = await connectAsync(`mqtt://127.0.0.1:${port}`);
      for (let seq = 0; !isOver(); seq++) {
        const fields = { temperature: 20 + (seq % 70) / 10 };
        const reading = { site: 'outage', device, seq, timeMs: firstMs + seq * 500 + d, fields };
        const payload = JSON.stringify({ ts: reading.timeMs, seq, ...fields });
        await client.publishAsync(`iot/outage/${device}/telemetry`, payload, { qos: 1 });
        acknowledged.push(reading);
        await systemClock.sleep(everyMs);
      }
      await client.endAsync();
      return acknowledged;
    }),
  );
  return lists.flat();
}

async function countOf(bus: Bus, topic: string): Promise<number> {
  let count = 0;
  const following = await bus.follow(topic, 'beginning', (records) => {
    count += records.length;
  });
  await following.close();
  return count;
}
