/** What only Kafka can do to appends: lost answers, cut connections, a broker that hangs or dies. */
import { Kafka, logLevel } from 'kafkajs';
import { describe, expect, inject, test } from 'vitest';
import { systemClock } from '../../core/clock.ts';
import { RecordsRefusedError } from '../../core/errors.ts';
import { silentLogger } from '../../core/log.ts';
import { eventually } from '../support/eventually.ts';
import { type Fate, produceRequest } from '../support/tcp-proxy.ts';
import { errorCode } from './bus/error-code.ts';
import { FaultyKafka, list, seeded } from './bus/faulty-kafka.ts';
import { record, run, topicSpec, valuesOf } from './bus/harness.ts';

describe.skipIf(inject('kafkaBrokers') === null)('appends to Kafka', () => {
  const kafka = new FaultyKafka();

  const lanesAndFates: [number, Fate, number][] = [
    [1, 'cut', 100],
    [4, 'cut', 100],
    [1, 'swallow', 20],
    [4, 'swallow', 20],
  ];

  test.each(lanesAndFates)(
    'with %i lane(s), answers that get lost at random (%s) lose, double and swap nothing',
    async (lanes, fate, calls) => {
      const random = seeded();
      let lost = 0;
      kafka.proxy.ofAnswer = (kind) => {
        if (kind !== produceRequest || random() > 0.3) return 'pass';
        lost++;
        return fate;
      };
      await kafka.appendAll(await kafka.openBus({ lanes }), calls);
      expect(await kafka.faultsOf(calls)).toEqual([]);
      expect(lost).toBeGreaterThan(calls / 10);
    },
  );

  test.each([1, 4])('with %i lane(s), requests cut in the middle lose, double and swap nothing', async (lanes) => {
    const random = seeded();
    kafka.proxy.ofRequest = (kind) => (kind === produceRequest && random() < 0.3 ? 'cut' : 'pass');
    await kafka.appendAll(await kafka.openBus({ lanes }), 100);
    expect(await kafka.faultsOf(100)).toEqual([]);
  });

  test('connections cut at any moment lose, double and swap nothing', async () => {
    const random = seeded();
    const appends = kafka.appendAll(await kafka.openBus({ lanes: 4 }), 300);
    let isDone = false;
    const cuts = (async () => {
      while (!isDone) {
        await systemClock.sleep(random() * 200);
        kafka.proxy.cutAll();
      }
    })();
    await appends;
    isDone = true;
    await cuts;
    expect(await kafka.faultsOf(300)).toEqual([]);
  });

  test('a bus that is started while the broker stands still works once it goes on', async () => {
    process.kill(kafka.server.pid!, 'SIGSTOP');
    let isWaiting = false;
    const warn = () => {
      isWaiting = true;
    };
    const started = kafka.openBus({ log: { ...silentLogger, warn } });
    await eventually(() => isWaiting, { what: 'the first attempt has failed' });
    process.kill(kafka.server.pid!, 'SIGCONT');
    const bus = await started;
    await bus.ping();
    await bus.append(kafka.topic, list(0));
    expect(await kafka.faultsOf(1)).toEqual([]);
  });

  test('a broker that stands still longer than we wait for an answer loses, doubles and swaps nothing', async () => {
    const bus = await kafka.openBus({ lanes: 2 });
    await kafka.appendAll(bus, 10);
    process.kill(kafka.server.pid!, 'SIGSTOP');
    const rest = Promise.all(Array.from({ length: 50 }, (_, i) => bus.append(kafka.topic, list(10 + i))));
    // Also longer than we wait for the first answer on a new connection.
    await systemClock.sleep(5_000);
    process.kill(kafka.server.pid!, 'SIGCONT');
    await rest;
    expect(await kafka.faultsOf(60)).toEqual([]);
  });

  test('a broker that is killed and comes back loses, doubles and swaps nothing', async () => {
    const bus = await kafka.openBus({ lanes: 2 });
    const appends = kafka.appendAll(bus, 600);
    await eventually(async () => (await bus.read(kafka.topic, 0, 0, 1)).endOffset > 0);
    await kafka.server.kill();
    await kafka.server.restart();
    await appends;
    expect(await kafka.faultsOf(600)).toEqual([]);
  });

  test('a record of 1.1 MB is named, all others are durable and in order, also while answers get lost', async () => {
    const random = seeded();
    kafka.proxy.ofAnswer = (kind) => (kind === produceRequest && random() < 0.3 ? 'cut' : 'pass');
    const bus = await kafka.openBus({ lanes: 2 });
    const huge = 'x'.repeat(1_100_000);
    const good = [0, 1, 2, 3].map((partition) => run(40, partition));
    const records = good.flatMap((each, partition) =>
      partition < 3 ? [...each.slice(0, 17), record('huge', huge, { partition }), ...each.slice(17)] : each,
    );
    const refusal = await bus.append(kafka.topic, records).catch((error: unknown) => error);
    expect(refusal).toBeInstanceOf(RecordsRefusedError);
    const { refused } = refusal as RecordsRefusedError;
    expect(refused.map(({ index }) => index).sort((a, b) => a - b)).toEqual([17, 58, 99]);
    for (const { message } of refused) expect(message).toMatch(/larger than|too large/i);
    await bus.append(
      kafka.topic,
      [0, 1, 2, 3].flatMap((partition) => run(1, partition, 40)),
    );
    kafka.proxy.passAll();
    for (const partition of [0, 1, 2, 3]) {
      const { records: kept } = await bus.read(kafka.topic, partition, 0, 1_000);
      expect(valuesOf(kept)).toEqual(Array.from({ length: 41 }, (_, i) => `r${i}`));
    }
  });

  test('a topic that goes away is said to be missing, and the lane goes on with others', async () => {
    const bus = await kafka.openBus();
    expect(await errorCode(bus.append('faults.never', run(1, 0)))).toBe('BUS_TOPIC_MISSING');
    await bus.createTopics([topicSpec('faults.removed', { partitions: 1 })]);
    await bus.append('faults.removed', run(1, 0));
    const admin = new Kafka({ brokers: [kafka.server.brokers], logLevel: logLevel.NOTHING }).admin();
    await admin.connect();
    await admin.deleteTopics({ topics: ['faults.removed'] });
    await admin.disconnect();
    // The broker goes on taking records for a moment after it has answered.
    const isMissing = async () => (await errorCode(bus.append('faults.removed', run(1, 0)))) === 'BUS_TOPIC_MISSING';
    await eventually(isMissing, { withinMs: 30_000, what: 'the topic is missing' });
    await bus.append(kafka.topic, run(3, 0));
    // The client keeps asking for the ends of the removed topic too: another one reads.
    const reader = await kafka.openBus();
    expect(valuesOf((await reader.read(kafka.topic, 0, 0, 10)).records)).toEqual(['r0', 'r1', 'r2']);
  });

  test('what waits behind a broker that is gone is bounded, and rejected at close', async () => {
    const bus = await kafka.openBus();
    await bus.append(kafka.topic, run(1, 0));
    kafka.proxy.ofRequest = () => 'cut';
    const chunk = Array.from({ length: 100 }, () => record('k', 'x'.repeat(500_000), { partition: 0 }));
    const appends = Array.from({ length: 4 }, () => errorCode(bus.append(kafka.topic, chunk)));
    expect(await Promise.race(appends)).toBe('BUS_UNAVAILABLE');
    const startedAtMs = performance.now();
    await bus.close();
    expect(performance.now() - startedAtMs).toBeLessThan(15_000);
    expect(await Promise.all(appends)).toEqual(Array(4).fill('BUS_UNAVAILABLE'));
  });
});
