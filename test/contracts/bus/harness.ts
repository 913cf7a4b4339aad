import { afterEach } from 'vitest';
import type { Batch, BatchHandler, Bus, BusRecord, Consumption, NewRecord } from '../../../bus/port.ts';
import type { TopicSpec } from '../../../core/topics.ts';

/** What an adapter gives the suite. */
export interface BusHarness {
  /** A started member of the one bus under test; several are open at once, as several processes would be. */
  openBus(): Promise<Bus>;
  /** Creates a topic under a name never used before (`topicSpec` fills in what is not given) and returns the name. */
  topic(spec?: Partial<Omit<TopicSpec, 'name'>>): Promise<string>;
  close(): Promise<void>;
}

/** Group joins, rebalances and expired sessions: Kafka takes seconds for each. */
export const groupDeadline = { withinMs: 60_000, everyMs: 20 };

/** The shortest that a Kafka broker allows by default. */
export const sessionTimeoutMs = 6_000;

export function topicSpec(name: string, spec: Partial<Omit<TopicSpec, 'name'>> = {}): TopicSpec {
  return {
    name,
    partitions: 3,
    cleanup: 'delete',
    retentionMs: null,
    retentionBytes: null,
    maxMessageBytes: 1024 * 1024,
    ...spec,
  };
}

/** Opens members for one test and closes them after it, whatever became of the test. */
export class Members {
  readonly #harness: () => BusHarness;
  #open: Bus[] = [];

  constructor(harness: () => BusHarness) {
    this.#harness = harness;
    afterEach(async () => {
      const open = this.#open;
      this.#open = [];
      await Promise.all(open.map((bus) => bus.close()));
    });
  }

  async open(): Promise<Bus> {
    const bus = await this.#harness().openBus();
    this.#open.push(bus);
    return bus;
  }

  topic(spec?: Partial<Omit<TopicSpec, 'name'>>): Promise<string> {
    return this.#harness().topic(spec);
  }
}

export function record(key: string, value: string | null, more: Partial<NewRecord> = {}): NewRecord {
  return { key, value: value === null ? null : Buffer.from(value), headers: {}, timestampMs: Date.now(), ...more };
}

/** `count` records `r0, r1, …` of one partition. */
export function run(count: number, partition: number, from = 0): NewRecord[] {
  return Array.from({ length: count }, (_, i) => record(`k${partition}`, `r${from + i}`, { partition }));
}

export function valuesOf(records: readonly BusRecord[]): (string | undefined)[] {
  return records.map((each) => each.value?.toString());
}

/** A group member that keeps what it was given, and does in each batch what the test asks. */
export class Recorder {
  readonly batches: Batch[] = [];
  readonly #onBatch: BatchHandler;

  constructor(onBatch: BatchHandler = async () => {}) {
    this.#onBatch = onBatch;
  }

  join(bus: Bus, topic: string, group: string, maxBatchRecords = 1_000): Promise<Consumption> {
    const handle: BatchHandler = async (batch) => {
      this.batches.push(batch);
      await this.#onBatch(batch);
    };
    return bus.consume(topic, group, handle, { sessionTimeoutMs, maxBatchRecords });
  }

  get records(): BusRecord[] {
    return this.batches.flatMap((batch) => [...batch.records]);
  }

  get closing(): Batch[] {
    return this.batches.filter((batch) => batch.closing);
  }

  ofPartition(partition: number): BusRecord[] {
    return this.records.filter((each) => each.partition === partition);
  }
}

/** A promise that a test resolves by hand. */
export function gate(): { readonly opened: Promise<void>; open(): void } {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { opened: promise, open: () => resolve() };
}
