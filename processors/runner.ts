/** The processor: consumes the raw topic and gives every partition to its task. The only loop over the bus is here. */
import type { Batch, Bus, Consumption } from '../bus/port.ts';
import type { Clock } from '../core/clock.ts';
import { within } from '../core/deadline.ts';
import { SluiceError } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';
import type { PartitionStatus, ProcessorStatus, SkewedDevice } from '../core/status.ts';
import type { TopicNames } from '../core/topics.ts';
import type { Store } from '../store/port.ts';
import type { ProcessorOptions } from './options.ts';
import { PartitionTask } from './partition-task.ts';
import { Patience } from './patience.ts';
import type { Rule } from './rules/file.ts';
import { SkewLog } from './skew-log.ts';
import { SnapshotEncoder } from './snapshot.ts';

/** Of the devices whose clock is off: as many are told by name. */
const maxSkewedTold = 100;

export interface ProcessorContext {
  readonly bus: Bus;
  readonly store: Store;
  readonly topics: TopicNames;
  readonly group: string;
  readonly rules: readonly Rule[];
  readonly options: ProcessorOptions;
  /** Unique per run. */
  readonly instance: string;
  readonly version: string;
  readonly clock: Clock;
  readonly log: Logger;
}

export class Processor {
  readonly #context: ProcessorContext;
  readonly #closing = new AbortController();
  readonly #patience: Patience;
  readonly #counters = { pointsWritten: 0, rollupsWritten: 0, alertsRaised: 0 };
  readonly #snapshots: SnapshotEncoder;
  readonly #skewLog: SkewLog;
  readonly #tasks = new Map<number, PartitionTask>();
  #consumption: Consumption | null = null;
  #startedAtMs = 0;
  readonly #failure = Promise.withResolvers<void>();

  constructor(context: ProcessorContext) {
    const { clock, log, options } = context;
    this.#context = context;
    this.#patience = new Patience(clock, log, options.sessionTimeoutMs, this.#closing.signal);
    this.#snapshots = new SnapshotEncoder(clock);
    this.#skewLog = new SkewLog(log, clock);
    this.#failure.promise.catch(() => {});
  }

  /** Rejects when the processor cannot go on by itself. */
  get failed(): Promise<void> {
    return this.#failure.promise;
  }

  async start(): Promise<void> {
    if (this.#consumption !== null) return;
    const { bus, topics, group, options, clock } = this.#context;
    this.#startedAtMs = clock.nowMs();
    this.#consumption = await bus.consume(topics.raw, group, (batch) => this.#handle(batch), {
      sessionTimeoutMs: options.sessionTimeoutMs,
      maxBatchRecords: options.maxBatchRecords ?? 5000,
    });
    this.#consumption.failed.then(this.#failure.resolve, this.#failure.reject);
  }

  /**
   * Ends after the batches under way, with a last snapshot of each partition. Rejects with CLOSE_TIMEOUT when a write does
   * not end within `deadlineMs`; whoever owns its partition next does the work again. Idempotent.
   */
  async close(deadlineMs: number): Promise<void> {
    this.#closing.abort();
    const tooLate = new SluiceError('CLOSE_TIMEOUT', 'the processor waits for a write that does not end');
    if (this.#consumption !== null) await within(this.#context.clock, deadlineMs, this.#consumption.close(), tooLate);
  }

  /** What stands in the way of processing, in words. */
  ready(): string[] {
    return this.#consumption === null ? ['processor: not started'] : this.#patience.problems();
  }

  status(): ProcessorStatus {
    const partitions: Record<string, PartitionStatus> = {};
    const skewed: SkewedDevice[] = [];
    let devices = 0;
    for (const partition of this.#consumption?.assigned() ?? []) {
      const task = this.#tasks.get(partition);
      const status = task?.status() ?? null;
      if (task === undefined || status === null) continue;
      partitions[partition] = status;
      devices += task.deviceCount;
      skewed.push(...task.skewed);
    }
    const problems = this.ready();
    return {
      role: 'processor',
      instance: this.#context.instance,
      version: this.#context.version,
      startedAtMs: this.#startedAtMs,
      atMs: this.#context.clock.nowMs(),
      ready: problems.length === 0,
      problems,
      partitions,
      ...this.#counters,
      devices,
      skewed: { count: skewed.length, worst: skewed.sort(worstFirst).slice(0, maxSkewedTold) },
    };
  }

  #handle(batch: Batch): Promise<void> {
    let task = this.#tasks.get(batch.partition);
    if (task === undefined) {
      const { bus, store, topics, rules, options, instance, clock, log } = this.#context;
      const shared = {
        patience: this.#patience,
        counters: this.#counters,
        snapshots: this.#snapshots,
        skewLog: this.#skewLog,
      };
      task = new PartitionTask(batch.partition, {
        bus,
        store,
        topics,
        rules,
        options,
        instance,
        clock,
        log,
        ...shared,
      });
      this.#tasks.set(batch.partition, task);
    }
    return task.handle(batch);
  }
}

function worstFirst(a: SkewedDevice, b: SkewedDevice): number {
  return Math.abs(b.skewMs) - Math.abs(a.skewMs);
}
