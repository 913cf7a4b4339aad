/** A Kafka of one test file alone, behind a proxy that loses what a test tells it to; and what must be in a topic after it. */
import { afterAll, afterEach, beforeAll, beforeEach } from 'vitest';
import { KafkaBus, type KafkaBusOptions } from '../../../bus/kafka.ts';
import type { Bus, NewRecord } from '../../../bus/port.ts';
import { systemClock } from '../../../core/clock.ts';
import { silentLogger } from '../../../core/log.ts';
import { type OwnKafkaOptions, type OwnKafkaServer, startOwnKafka } from '../../support/kafka-server.ts';
import { KafkaProxy } from '../../support/tcp-proxy.ts';
import { record, topicSpec, valuesOf } from './harness.ts';

/** Of the fresh topic that each test has. */
const partitions = 4;
/** Records of one append of `appendAll`. */
export const perCall = 20;

export class FaultyKafka {
  readonly proxy = new KafkaProxy();
  #server: OwnKafkaServer | undefined;
  #brokers = '';
  #topic = '';
  #topics = 0;
  #open: Bus[] = [];

  /** Is there for the tests of the describe block that it is made in. */
  constructor(options: () => Promise<OwnKafkaOptions> = async () => ({})) {
    beforeAll(async () => {
      const port = await this.proxy.listen();
      // Longer than a test stops it: a broker that is not heard of for so long has to come back first.
      const started = await startOwnKafka({ advertisedPort: port, sessionTimeoutMs: 6000, ...(await options()) });
      if ('skip' in started) throw new Error(started.skip);
      this.#server = started;
      this.#brokers = `127.0.0.1:${port}`;
      this.proxy.upstreamPort = Number(started.brokers.split(':')[1]);
    });
    beforeEach(async () => {
      this.#topic = `faults.${this.#topics++}`;
      const admin = await this.openBus({ requestTimeoutMs: 30_000 });
      await admin.createTopics([topicSpec(this.#topic, { partitions })]);
    });
    afterEach(async () => {
      this.proxy.passAll();
      await Promise.all(this.#open.map((bus) => bus.close()));
      this.#open = [];
    });
    afterAll(async () => {
      await this.#server?.close();
      await this.proxy.close();
    });
  }

  get server(): OwnKafkaServer {
    return this.#server!;
  }

  /** `host:port` of the proxy. */
  get brokers(): string {
    return this.#brokers;
  }

  get topic(): string {
    return this.#topic;
  }

  /** A started one that reaches Kafka through the proxy, closed after the test. */
  async openBus(options: Partial<KafkaBusOptions> = {}): Promise<Bus> {
    const bus = new KafkaBus({
      brokers: [this.#brokers],
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
    this.#open.push(bus);
    await bus.start();
    return bus;
  }

  /** Appends `calls` lists as they come, without waiting for one before the next. */
  async appendAll(bus: Bus, calls: number): Promise<void> {
    await Promise.all(Array.from({ length: calls }, (_, call) => bus.append(this.#topic, list(call))));
  }

  /** Every record of the topic, in each partition in order and once: `[]` when nothing is lost, doubled or swapped. */
  async faultsOf(calls: number): Promise<string[]> {
    this.proxy.passAll();
    const bus = await this.openBus();
    const faults: string[] = [];
    for (let partition = 0; partition < partitions; partition++) {
      const expected = Array.from({ length: calls }, (_, call) => list(call))
        .flat()
        .filter((each) => each.partition === partition);
      const { records } = await bus.read(this.#topic, partition, 0, 1_000_000);
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
}

/** The records of one append: some of each partition, numbered through. */
export function list(call: number): NewRecord[] {
  return Array.from({ length: perCall }, (_, i) => {
    const partition = (call + i) % partitions;
    // With times of now: a broker that comes back has forgotten the producer of records that are a day old.
    return record(`key${i % 10}`, `${call}/${i}`, { partition });
  });
}

const seed = Number(process.env.SLUICE_TEST_SEED ?? 1);

/** mulberry32: the same faults in every run. */
export function seeded(): () => number {
  let a = seed;
  return () => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}
