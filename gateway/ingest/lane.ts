/**
 * One lane of the bus: one append under way, and while it is, the next batch gathers. A batch whose append was not answered
 * well is appended again, the very same one, before any other: the counters in `ingest.id`, which are given when a batch is
 * made, must rise within a partition, and the processor takes one that does not for a repetition.
 */
import type { NewRecord } from '../../bus/port.ts';
import type { Clock } from '../../core/clock.ts';
import type { Logger } from '../../core/log.ts';
import type { GatewayOptions } from '../options.ts';
import type { Ack } from './acks.ts';
import { Retry } from './retry.ts';
import { type Batch, Turns } from './turns.ts';

export interface Refused {
  readonly index: number;
  readonly message: string;
}

/** What became of an append that has succeeded: all is durable there but what can never be. */
export interface Appended {
  readonly where: 'bus' | 'spool';
  readonly refused: readonly Refused[];
}

export interface LaneContext {
  readonly options: GatewayOptions;
  readonly clock: Clock;
  readonly log: Logger;
  /** Aborts when the gateway gives up: what is not durable then stays unacknowledged. */
  readonly givingUp: AbortSignal;
  readonly append: (records: readonly NewRecord[]) => Promise<Appended>;
  /** Gives a message its `ingest.id`, in the order of the batches. */
  readonly number: (record: NewRecord) => void;
  readonly deadLetter: (records: readonly NewRecord[], refused: readonly Refused[]) => Promise<void>;
  /** Every record of the batch is durable, or dead-lettered if refused. */
  readonly onDurable: (batch: Batch, appended: Appended) => void;
}

export class Lane {
  readonly #context: LaneContext;
  readonly #retry: Retry;
  readonly #turns = new Turns();
  #oldestMs: number | null = null;
  #running: Promise<void> | null = null;
  #lingering: AbortController | null = null;
  #isDraining = false;

  constructor(context: LaneContext) {
    this.#context = context;
    this.#retry = new Retry(context);
  }

  /** Why the last append failed; `null` when it did not. */
  get problem(): string | null {
    return this.#retry.problem;
  }

  push(record: NewRecord, ack: Ack | null, turnMs: number): void {
    this.#turns.push(record, ack, turnMs);
    if (this.#running === null) this.#running = this.#run();
    else if (this.#isFull()) this.#lingering?.abort();
  }

  /** Lingers no more; resolves when the lane is empty, or has given up. */
  async drain(): Promise<void> {
    this.#isDraining = true;
    this.#lingering?.abort();
    await this.#running;
    this.#isDraining = false;
  }

  /** When the oldest record came that is not durable yet. */
  get oldestMs(): number | null {
    return this.#oldestMs ?? this.#turns.first?.timestampMs ?? null;
  }

  async #run(): Promise<void> {
    while (this.#turns.length > 0) {
      await this.#linger();
      const batch = this.#nextBatch();
      this.#oldestMs = batch.records[0]!.timestampMs;
      if (!(await this.#makeDurable(batch))) {
        this.#abandon(batch);
        break;
      }
      this.#oldestMs = null;
    }
    this.#running = null;
  }

  /** `false`: the gateway gave up. */
  async #makeDurable(batch: Batch): Promise<boolean> {
    const { givingUp, append, deadLetter, onDurable } = this.#context;
    const appended = await this.#retry.until(() => append(batch.records));
    if (appended === null) return false;
    const { refused } = appended;
    if (refused.length > 0) await this.#retry.until(() => deadLetter(batch.records, refused));
    if (givingUp.aborted) return false;
    onDurable(batch, appended);
    return true;
  }

  /** Nothing of it, nor of what waits, is acknowledged any more. */
  #abandon(batch: Batch): void {
    for (let left = batch; left.acks.length > 0; left = this.#nextBatch()) {
      for (const ack of left.acks) ack?.abandon();
    }
  }

  async #linger(): Promise<void> {
    const { clock, options } = this.#context;
    const waitMs = this.#turns.first!.timestampMs + options.lingerMs - clock.nowMs();
    if (waitMs <= 0 || this.#isFull() || this.#isDraining) return;
    this.#lingering = new AbortController();
    // A clock that was set back must not make this longer.
    await clock.sleep(Math.min(waitMs, options.lingerMs), this.#lingering.signal);
    this.#lingering = null;
  }

  #isFull(): boolean {
    const { maxBatchRecords, maxBatchBytes } = this.#context.options;
    return this.#turns.length >= maxBatchRecords || this.#turns.bytes >= maxBatchBytes;
  }

  #nextBatch(): Batch {
    const { options, clock, number } = this.#context;
    const batch = this.#turns.take(options, clock.nowMs());
    for (const [i, ack] of batch.acks.entries()) if (ack !== null) number(batch.records[i]!);
    return batch;
  }
}
