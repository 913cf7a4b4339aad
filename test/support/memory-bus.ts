/**
 * The bus port in memory, for unit tests: topics of partitions, one member per group, no durability. Its hooks decide
 * from outside what becomes of an append: `hold`, `fail`, `refuse`, `delay`.
 */
import type {
  BatchHandler,
  Bus,
  BusRecord,
  Committed,
  ConsumeOptions,
  Consumption,
  Following,
  Lag,
  NewRecord,
} from '../../bus/port.ts';
import { type Clock, systemClock } from '../../core/clock.ts';
import { RecordsRefusedError, SluiceError } from '../../core/errors.ts';
import { partitionOf } from '../../core/partition.ts';
import type { TopicSpec } from '../../core/topics.ts';
import { type CommittedOffsets, MemoryConsumption } from './memory-consumption.ts';

type Match = (topic: string, records: readonly NewRecord[]) => boolean;

/** Appends that wait until the test lets them go on. */
export interface Hold {
  /** Records of each append that waits now. */
  readonly waiting: readonly (readonly NewRecord[])[];
  /** Lets the waiting ones and all later ones go on. */
  release(): void;
}

interface Gate {
  readonly match: Match;
  pass(topic: string, records: readonly NewRecord[]): Promise<void>;
}

interface Topic {
  readonly partitions: BusRecord[][];
  readonly followers: Set<(records: readonly BusRecord[]) => void>;
}

export class MemoryBus implements Bus {
  readonly kind = 'embedded';
  readonly lanes: number;
  /** Appends as they were called, whatever became of them. */
  readonly calls: { topic: string; records: readonly NewRecord[] }[] = [];
  /** The most appends to one topic lane that were ever under way together: the port asks for at most one. */
  mostInFlight = 0;
  readonly #clock: Clock;
  readonly #topics = new Map<string, Topic>();
  readonly #committed: CommittedOffsets = new Map();
  readonly #consumptions = new Set<MemoryConsumption>();
  readonly #inFlight = new Map<string, number>();
  #gates: Gate[] = [];
  #refusals: ((topic: string, record: NewRecord) => string | null)[] = [];

  constructor({ lanes = 1, clock = systemClock }: { lanes?: number; clock?: Clock } = {}) {
    this.lanes = lanes;
    this.#clock = clock;
  }

  /** Appends that match wait, from now on, until they are released. */
  hold(match: Match = () => true): Hold {
    const waiting: (readonly NewRecord[])[] = [];
    let release = () => {};
    const released = new Promise<void>((resolve) => {
      release = resolve;
    });
    const pass = async (_topic: string, records: readonly NewRecord[]) => {
      waiting.push(records);
      await released;
      waiting.splice(waiting.indexOf(records), 1);
    };
    const remove = this.#addGate({ match, pass });
    return {
      waiting,
      release: () => {
        remove();
        release();
      },
    };
  }

  /**
   * Appends that match are rejected with BUS_UNAVAILABLE until the returned function is called. `landed`: the records
   * are durable all the same, only the answer is lost.
   */
  fail(match: Match = () => true, { landed = false } = {}): () => void {
    const pass = (topic: string, records: readonly NewRecord[]) => {
      if (landed) this.#store(topic, records);
      return Promise.reject(new SluiceError('BUS_UNAVAILABLE', 'the bus is out of reach'));
    };
    return this.#addGate({ match, pass });
  }

  /** Appends that match take `delayMs` longer. */
  delay(delayMs: number, match: Match = () => true): () => void {
    return this.#addGate({ match, pass: () => this.#clock.sleep(delayMs) });
  }

  /** `why` returns what is wrong with a record that can never be appended, `null` for a good one. */
  refuse(why: (topic: string, record: NewRecord) => string | null): void {
    this.#refusals.push(why);
  }

  /** Everything a topic holds, partition by partition. */
  records(topic: string): BusRecord[] {
    return this.#topic(topic).partitions.flat();
  }

  async start(): Promise<void> {}

  async close(): Promise<void> {
    await Promise.all([...this.#consumptions].map((consumption) => consumption.close()));
  }

  async ping(): Promise<void> {}

  async createTopics(specs: readonly TopicSpec[]): Promise<string[]> {
    const missing = specs.filter(({ name }) => !this.#topics.has(name));
    for (const { name, partitions } of missing) {
      this.#topics.set(name, { partitions: Array.from({ length: partitions }, () => []), followers: new Set() });
    }
    return missing.map(({ name }) => name);
  }

  async partitionCount(topic: string): Promise<number> {
    return this.#topic(topic).partitions.length;
  }

  async append(topic: string, records: readonly NewRecord[]): Promise<void> {
    this.calls.push({ topic, records });
    const lanes = this.#lanesOf(topic, records);
    for (const lane of lanes) this.#enter(lane, 1);
    try {
      for (const { match, pass } of this.#gates) if (match(topic, records)) await pass(topic, records);
      const refused = records.flatMap((record, index) => {
        const message = this.#refusals.map((why) => why(topic, record)).find((reason) => reason !== null);
        return message === undefined ? [] : [{ index, message }];
      });
      const bad = new Set(refused.map(({ index }) => index));
      const good = records.filter((_, index) => !bad.has(index));
      this.#store(topic, good);
      if (refused.length > 0) throw new RecordsRefusedError(topic, refused);
    } finally {
      for (const lane of lanes) this.#enter(lane, -1);
    }
  }

  async consume(topic: string, group: string, handler: BatchHandler, options: ConsumeOptions): Promise<Consumption> {
    const consumption = new MemoryConsumption({
      topic,
      partitions: this.#topic(topic).partitions,
      committed: this.#committedOf(topic, group),
      handler,
      maxBatchRecords: options.maxBatchRecords,
      clock: this.#clock,
    });
    this.#consumptions.add(consumption);
    return consumption;
  }

  async read(topic: string, partition: number, fromOffset: number, maxRecords: number) {
    const records = this.#topic(topic).partitions[partition] ?? [];
    return { records: records.slice(fromOffset, fromOffset + maxRecords), endOffset: records.length };
  }

  async follow(
    topic: string,
    from: 'beginning' | 'end',
    onRecords: (records: readonly BusRecord[]) => void,
  ): Promise<Following> {
    const { partitions, followers } = this.#topic(topic);
    if (from === 'beginning') for (const records of partitions) if (records.length > 0) onRecords([...records]);
    followers.add(onRecords);
    return {
      close: async () => {
        followers.delete(onRecords);
      },
    };
  }

  async lag(topic: string, group: string): Promise<Lag> {
    const committed = this.#committedOf(topic, group);
    const waiting = this.#topic(topic).partitions.flatMap((records, partition) =>
      records.slice(committed.get(partition)?.offset ?? 0),
    );
    const oldestMs = Math.min(...waiting.map(({ timestampMs }) => timestampMs));
    const seconds = waiting.length === 0 ? 0 : Math.max(0, (this.#clock.nowMs() - oldestMs) / 1000);
    return { records: waiting.length, seconds };
  }

  async committed(topic: string, group: string): Promise<readonly (Committed | null)[]> {
    const committed = this.#committedOf(topic, group);
    return this.#topic(topic).partitions.map((_, partition) => committed.get(partition) ?? null);
  }

  async offsetAt(topic: string, partition: number, timestampMs: number): Promise<number> {
    const records = this.#topic(topic).partitions[partition] ?? [];
    const at = records.findIndex((record) => record.timestampMs >= timestampMs);
    return at < 0 ? records.length : at;
  }

  #addGate(gate: Gate): () => void {
    this.#gates = [...this.#gates, gate];
    return () => {
      this.#gates = this.#gates.filter((other) => other !== gate);
    };
  }

  #topic(name: string): Topic {
    const topic = this.#topics.get(name);
    if (topic === undefined) throw new SluiceError('BUS_TOPIC_MISSING', `topic ${name} does not exist`);
    return topic;
  }

  #committedOf(topic: string, group: string) {
    const name = `${topic} ${group}`;
    const known = this.#committed.get(name) ?? new Map();
    this.#committed.set(name, known);
    return known;
  }

  #lanesOf(topic: string, records: readonly NewRecord[]): Set<string> {
    const { length } = this.#topic(topic).partitions;
    return new Set(
      records.map(({ key, partition }) => `${topic} ${(partition ?? partitionOf(key, length)) % this.lanes}`),
    );
  }

  #enter(lane: string, by: 1 | -1): void {
    const inFlight = (this.#inFlight.get(lane) ?? 0) + by;
    this.#inFlight.set(lane, inFlight);
    this.mostInFlight = Math.max(this.mostInFlight, inFlight);
  }

  #store(topic: string, records: readonly NewRecord[]): void {
    const { partitions, followers } = this.#topic(topic);
    const stored = records.map((record) => {
      const partition = record.partition ?? partitionOf(record.key, partitions.length);
      const log = partitions[partition]!;
      const value = record.value === null ? null : Buffer.from(record.value);
      const entry = { ...record, value, headers: { ...record.headers }, partition, offset: log.length };
      log.push(entry);
      return entry;
    });
    if (stored.length === 0) return;
    for (const follower of followers) follower(stored);
    for (const consumption of this.#consumptions) consumption.wake();
  }
}
