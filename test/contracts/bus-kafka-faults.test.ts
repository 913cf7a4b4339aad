/** What only Kafka can do to us: lost answers, cut connections, a broker that hangs, dies, or wants a password. */
import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { Kafka, logLevel } from 'kafkajs';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, onTestFinished, test } from 'vitest';
import { KafkaBus, type KafkaBusOptions } from '../../bus/kafka.ts';
import type { Batch, Bus, NewRecord } from '../../bus/port.ts';
import { systemClock } from '../../core/clock.ts';
import { resolveConfig } from '../../core/config.ts';
import { RecordsRefusedError } from '../../core/errors.ts';
import { silentLogger } from '../../core/log.ts';
import { setUp } from '../../pipeline.ts';
import { eventually } from '../support/eventually.ts';
import { freePort } from '../support/free-port.ts';
import { type OwnKafkaServer, startOwnKafka } from '../support/kafka-server.ts';
import { startRole } from '../support/role-process.ts';
import { type Fate, joinGroupRequest, KafkaProxy, produceRequest, syncGroupRequest } from '../support/tcp-proxy.ts';
import { errorCode } from './bus/error-code.ts';
import { groupDeadline, Recorder, record, run, topicSpec, valuesOf } from './bus/harness.ts';

const seed = Number(process.env.SLUICE_TEST_SEED ?? 1);
const user = { name: 'sluice', password: 'only-for-tests' };
const partitions = 4;

describe.skipIf(inject('kafkaBrokers') === null)('the Kafka bus', () => {
  const proxy = new KafkaProxy();
  let kafka: OwnKafkaServer;
  let proxied: string;
  let securedPort: number;
  let topic: string;
  let topics = 0;
  let open: Bus[] = [];

  beforeAll(async () => {
    const port = await proxy.listen();
    securedPort = await freePort();
    const secured = { port: securedPort, user: user.name, password: user.password };
    const started = await startOwnKafka({ advertisedPort: port, secured });
    if ('skip' in started) throw new Error(started.skip);
    kafka = started;
    proxied = `127.0.0.1:${port}`;
    proxy.upstreamPort = Number(kafka.brokers.split(':')[1]);
  });
  beforeEach(async () => {
    topic = `faults.${topics++}`;
    const admin = await openBus();
    await admin.createTopics([topicSpec(topic, { partitions })]);
  });
  afterEach(async () => {
    proxy.passAll();
    await Promise.all(open.map((bus) => bus.close()));
    open = [];
  });
  afterAll(async () => {
    await kafka?.close();
    await proxy.close();
  });

  async function openBus(options: Partial<KafkaBusOptions> = {}): Promise<Bus> {
    const bus = new KafkaBus({
      brokers: [proxied],
      clientId: 'faults',
      ssl: false,
      sasl: null,
      lanes: 1,
      replicationFactor: null,
      startTimeoutMs: 30_000,
      requestTimeoutMs: 500,
      clock: systemClock,
      log: silentLogger,
      ...options,
    });
    open.push(bus);
    await bus.start();
    return bus;
  }

  /** Appends `calls` lists as they come, without waiting for one before the next. */
  async function appendAll(bus: Bus, calls: number): Promise<void> {
    await Promise.all(Array.from({ length: calls }, (_, call) => bus.append(topic, list(call))));
  }

  /** Every record of the topic, in each partition in order and once: `[]` when nothing is lost, doubled or swapped. */
  async function faultsOf(calls: number): Promise<string[]> {
    proxy.passAll();
    const bus = await openBus();
    const faults: string[] = [];
    for (let partition = 0; partition < partitions; partition++) {
      const expected = Array.from({ length: calls }, (_, call) => list(call))
        .flat()
        .filter((each) => each.partition === partition);
      const { records } = await bus.read(topic, partition, 0, 1_000_000);
      const found = valuesOf(records);
      for (const [i, { value }] of expected.entries()) {
        if (found[i] === String(value)) continue;
        faults.push(`partition ${partition}, offset ${i}: ${found[i]} instead of ${value}, ${found.length} records`);
        break;
      }
      if (found.length > expected.length) faults.push(`partition ${partition}: ${found.length} of ${expected.length}`);
    }
    return faults;
  }

  const lanesAndFates: [number, Fate, number][] = [
    [1, 'cut', 100],
    [4, 'cut', 100],
    [1, 'swallow', 20],
    [4, 'swallow', 20],
  ];

  test.each(lanesAndFates)(
    'with %i lane(s), answers that get lost at random (%s) lose, double and swap nothing',
    async (lanes, fate, calls) => {
      const random = seeded(seed);
      let lost = 0;
      proxy.ofAnswer = (kind) => {
        if (kind !== produceRequest || random() > 0.3) return 'pass';
        lost++;
        return fate;
      };
      await appendAll(await openBus({ lanes }), calls);
      expect(await faultsOf(calls)).toEqual([]);
      expect(lost).toBeGreaterThan(calls / 10);
    },
  );

  test.each([1, 4])('with %i lane(s), requests cut in the middle lose, double and swap nothing', async (lanes) => {
    const random = seeded(seed);
    proxy.ofRequest = (kind) => (kind === produceRequest && random() < 0.3 ? 'cut' : 'pass');
    await appendAll(await openBus({ lanes }), 100);
    expect(await faultsOf(100)).toEqual([]);
  });

  test('connections cut at any moment lose, double and swap nothing', async () => {
    const random = seeded(seed);
    const appends = appendAll(await openBus({ lanes: 4 }), 300);
    let isDone = false;
    const cuts = (async () => {
      while (!isDone) {
        await systemClock.sleep(random() * 200);
        proxy.cutAll();
      }
    })();
    await appends;
    isDone = true;
    await cuts;
    expect(await faultsOf(300)).toEqual([]);
  });

  test('a bus that is started while the broker stands still works once it goes on', async () => {
    process.kill(kafka.pid!, 'SIGSTOP');
    let isWaiting = false;
    const warn = () => {
      isWaiting = true;
    };
    const started = openBus({ log: { ...silentLogger, warn } });
    await eventually(() => isWaiting, { what: 'the first attempt has failed' });
    process.kill(kafka.pid!, 'SIGCONT');
    const bus = await started;
    await bus.ping();
    await bus.append(topic, list(0));
    expect(await faultsOf(1)).toEqual([]);
  });

  test('a broker that stands still longer than we wait for an answer loses, doubles and swaps nothing', async () => {
    const bus = await openBus({ lanes: 2 });
    await appendAll(bus, 10);
    process.kill(kafka.pid!, 'SIGSTOP');
    const rest = Promise.all(Array.from({ length: 50 }, (_, i) => bus.append(topic, list(10 + i))));
    // Also longer than we wait for the first answer on a new connection.
    await systemClock.sleep(5_000);
    process.kill(kafka.pid!, 'SIGCONT');
    await rest;
    expect(await faultsOf(60)).toEqual([]);
  });

  test('a broker that is killed and comes back loses, doubles and swaps nothing', async () => {
    const bus = await openBus({ lanes: 2 });
    const appends = appendAll(bus, 600);
    await eventually(async () => (await bus.read(topic, 0, 0, 1)).endOffset > 0);
    await kafka.kill();
    await kafka.restart();
    await appends;
    expect(await faultsOf(600)).toEqual([]);
  });

  test('a record of 1.1 MB is named, all others are durable and in order, also while answers get lost', async () => {
    const random = seeded(seed);
    proxy.ofAnswer = (kind) => (kind === produceRequest && random() < 0.3 ? 'cut' : 'pass');
    const bus = await openBus({ lanes: 2 });
    const huge = 'x'.repeat(1_100_000);
    const good = [0, 1, 2, 3].map((partition) => run(40, partition));
    const records = good.flatMap((each, partition) =>
      partition < 3 ? [...each.slice(0, 17), record('huge', huge, { partition }), ...each.slice(17)] : each,
    );
    const refusal = await bus.append(topic, records).catch((error: unknown) => error);
    expect(refusal).toBeInstanceOf(RecordsRefusedError);
    const { refused } = refusal as RecordsRefusedError;
    expect(refused.map(({ index }) => index).sort((a, b) => a - b)).toEqual([17, 58, 99]);
    for (const { message } of refused) expect(message).toMatch(/larger than|too large/i);
    await bus.append(
      topic,
      [0, 1, 2, 3].flatMap((partition) => run(1, partition, 40)),
    );
    proxy.passAll();
    for (const partition of [0, 1, 2, 3]) {
      const { records: kept } = await bus.read(topic, partition, 0, 1_000);
      expect(valuesOf(kept)).toEqual(Array.from({ length: 41 }, (_, i) => `r${i}`));
    }
  });

  test('a topic that goes away is said to be missing, and the lane goes on with others', async () => {
    const bus = await openBus();
    expect(await errorCode(bus.append('faults.never', run(1, 0)))).toBe('BUS_TOPIC_MISSING');
    await bus.createTopics([topicSpec('faults.removed', { partitions: 1 })]);
    await bus.append('faults.removed', run(1, 0));
    const admin = new Kafka({ brokers: [kafka.brokers], logLevel: logLevel.NOTHING }).admin();
    await admin.connect();
    await admin.deleteTopics({ topics: ['faults.removed'] });
    await admin.disconnect();
    // The broker goes on taking records for a moment after it has answered.
    const isMissing = async () => (await errorCode(bus.append('faults.removed', run(1, 0)))) === 'BUS_TOPIC_MISSING';
    await eventually(isMissing, { withinMs: 30_000, what: 'the topic is missing' });
    await bus.append(topic, run(3, 0));
    // The client keeps asking for the ends of the removed topic too: another one reads.
    const reader = await openBus();
    expect(valuesOf((await reader.read(topic, 0, 0, 10)).records)).toEqual(['r0', 'r1', 'r2']);
  });

  test('what waits behind a broker that is gone is bounded, and rejected at close', async () => {
    const bus = await openBus();
    await bus.append(topic, run(1, 0));
    proxy.ofRequest = () => 'cut';
    const chunk = Array.from({ length: 100 }, () => record('k', 'x'.repeat(500_000), { partition: 0 }));
    const appends = Array.from({ length: 4 }, () => errorCode(bus.append(topic, chunk)));
    expect(await Promise.race(appends)).toBe('BUS_UNAVAILABLE');
    const startedAtMs = performance.now();
    await bus.close();
    expect(performance.now() - startedAtMs).toBeLessThan(15_000);
    expect(await Promise.all(appends)).toEqual(Array(4).fill('BUS_UNAVAILABLE'));
  });

  test('a consumption goes on after the broker was killed and was away for longer than the client retries', async () => {
    const bus = await openBus();
    await appendAll(bus, 20);
    const recorder = new Recorder(async (batch) => {
      const last = batch.records.at(-1);
      if (last !== undefined) await batch.commit(last.offset + 1, '').catch(() => {});
    });
    const consumption = await recorder.join(bus, topic, 'group');
    await eventually(() => recorder.records.length >= 20 * perCall, groupDeadline);
    await kafka.kill();
    await systemClock.sleep(10_000);
    await kafka.restart();
    await Promise.all(Array.from({ length: 20 }, (_, i) => bus.append(topic, list(20 + i))));
    const distinct = () => new Set(recorder.records.map(({ partition, offset }) => `${partition}/${offset}`)).size;
    await eventually(() => distinct() === 40 * perCall, groupDeadline);
    expectOrder(recorder.batches);
    await consumption.close();
    await consumption.failed;
  });

  test('a consumption goes on through connections that are cut again and again', async () => {
    const bus = await openBus();
    const random = seeded(seed);
    const recorder = new Recorder();
    const consumption = await recorder.join(bus, topic, 'group');
    const writer = await openBus({ brokers: [proxied], lanes: 4 });
    const ended = consumption.failed.then(
      () => null,
      (error: unknown) => error,
    );
    for (let call = 0; call < 20; call++) {
      await writer.append(topic, list(call));
      await systemClock.sleep(random() * 300);
      proxy.cutAll();
    }
    const distinct = () => new Set(recorder.records.map(({ partition, offset }) => `${partition}/${offset}`)).size;
    await eventually(() => distinct() === 20 * perCall, groupDeadline);
    expectOrder(recorder.batches);
    await consumption.close();
    expect(await ended).toBeNull();
  });

  test('a consumption that is closed while it joins ends soon, and comes not back into the group', async () => {
    let [cuts, joins] = [1, 0];
    proxy.ofAnswer = (kind) => (kind === syncGroupRequest && cuts-- > 0 ? 'cut' : 'pass');
    proxy.ofRequest = (kind) => {
      if (kind === joinGroupRequest) joins++;
      return 'pass';
    };
    const bus = await openBus({ clientId: 'leaving' });
    const joining = new Recorder().join(bus, topic, 'left').catch(() => {});
    // It joins again by itself, and the broker lets it wait until the session of its first try is over.
    await eventually(() => joins === 2, groupDeadline);
    const startedAtMs = performance.now();
    await bus.close();
    expect(performance.now() - startedAtMs).toBeLessThan(5000);
    const staying = await openBus({ clientId: 'staying' });
    const recorder = new Recorder();
    await recorder.join(staying, topic, 'left');
    await appendAll(staying, 1);
    await eventually(() => recorder.records.length === perCall, groupDeadline);
    const admin = new Kafka({ brokers: [kafka.brokers], logLevel: logLevel.NOTHING }).admin();
    await admin.connect();
    onTestFinished(() => admin.disconnect());
    const members = async () => (await admin.describeGroups(['left'])).groups[0]!.members;
    // The one that left has a session to run out, if it could not say so.
    await eventually(async () => (await members()).every(({ clientId }) => clientId === 'staying'), groupDeadline);
    await joining;
  });

  test('a processor that is told to end while Kafka is away ends, and comes not back into the group', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'sluice-test-'));
    const settings = join(folder, 'sluice.yaml');
    await writeFile(settings, 'drainTimeoutMs: 500ms\n');
    const env = {
      KAFKA_BROKERS: proxied,
      SLUICE_TOPIC_PREFIX: 'ending.',
      SLUICE_DATA_DIR: folder,
      SLUICE_HTTP_PORT: '0',
    };
    await setUp(resolveConfig({ env, flags: {}, readText: () => '' }), silentLogger);
    const processor = await startRole(['processor', '--config', settings], env);
    onTestFinished(async () => {
      await processor.kill();
      await rm(folder, { recursive: true });
    });
    // A partition in use has a last snapshot to be written.
    await (await openBus()).append('ending.telemetry.raw.v1', run(1, 0));
    const metrics = async () => (await fetch(`${processor.http}/metrics`)).text();
    await eventually(async () => /^sluice_processor_records_total\{.*\} 1$/m.test(await metrics()), groupDeadline);
    proxy.ofRequest = () => 'cut';
    proxy.cutAll();
    expect(await Promise.race([processor.stop(), systemClock.sleep(20_000).then(() => 'still there')])).toBe(1);
  });

  test('a consumption whose topic goes away fails loudly', async () => {
    const bus = await openBus();
    await appendAll(bus, 1);
    const recorder = new Recorder();
    const consumption = await recorder.join(bus, topic, 'group');
    await eventually(() => recorder.records.length === perCall, groupDeadline);
    const admin = new Kafka({ brokers: [kafka.brokers], logLevel: logLevel.NOTHING }).admin();
    await admin.connect();
    await admin.deleteTopics({ topics: [topic] });
    await admin.disconnect();
    await expect(consumption.failed).rejects.toThrow(topic);
  });

  describe('with TLS and a password', () => {
    test.each(['plain', 'scram-sha-256', 'scram-sha-512'])('%s: appends, consumes and commits', async (mechanism) => {
      expect(await secured(mechanism, user.password)).toBe('over TLS');
    });

    test('a wrong password is said to be one', async () => {
      expect(await secured('scram-sha-512', 'wrong')).toMatch(/authentication/i);
    });

    test('a certificate that nobody vouches for is refused', async () => {
      expect(await secured('plain', user.password, {})).toMatch(/certificate/i);
    });

    async function secured(
      mechanism: string,
      password: string,
      env: Record<string, string> = { NODE_EXTRA_CA_CERTS: join(kafka.folder, 'certificate.pem') },
    ): Promise<string> {
      const program = join(import.meta.dirname, 'bus/secured-process.ts');
      const args = [program, `127.0.0.1:${securedPort}`, mechanism, user.name, password];
      const child = spawn(process.execPath, args, {
        env: { ...process.env, ...env },
        stdio: ['ignore', 'pipe', 'ignore'],
      });
      return (await text(child.stdout)).trim();
    }
  });
});

const perCall = 20;

/** The records of one append: some of each partition, numbered through. */
function list(call: number): NewRecord[] {
  return Array.from({ length: perCall }, (_, i) => {
    const partition = (call + i) % partitions;
    // With times of now: a broker that comes back has forgotten the producer of records that are a day old.
    return record(`key${i % 10}`, `${call}/${i}`, { partition });
  });
}

/** Within a partition offsets only go back to where an assignment starts from. */
function expectOrder(batches: readonly Batch[]): void {
  const next = new Map<number, number>();
  for (const { partition, records, assignment } of batches) {
    for (const [i, { offset }] of records.entries()) {
      const isFirst = i === 0 && (assignment !== null || !next.has(partition));
      if (!isFirst) expect(offset).toBe(next.get(partition));
      next.set(partition, offset + 1);
    }
  }
}

/** mulberry32 */
function seeded(state: number): () => number {
  let a = state;
  return () => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}
