/**
 * One lane's way to the bus: straight, and over the spool while the bus stalls. Once a batch was spooled, all that comes
 * later goes behind it, until the spool of the lane's partitions is drained: the counters in `ingest.id` rise within a
 * partition either way. One append to the bus is under way at a time, the lane's own or that of draining.
 */
import type { NewRecord } from '../../bus/port.ts';
import type { Clock } from '../../core/clock.ts';
import type { Logger } from '../../core/log.ts';
import type { Appended, Refused } from '../ingest/lane.ts';
import { isTick } from '../ingest/records.ts';
import { Retry } from '../ingest/retry.ts';
import type { GatewayOptions } from '../options.ts';
import type { Spool } from './spool.ts';

export interface DetourContext {
  readonly spool: Spool;
  /** Of the lane. */
  readonly partitions: readonly number[];
  readonly options: GatewayOptions;
  readonly clock: Clock;
  readonly log: Logger;
  readonly givingUp: AbortSignal;
  /** To the bus. */
  readonly append: (records: readonly NewRecord[]) => Promise<Appended>;
  readonly deadLetter: (records: readonly NewRecord[], refused: readonly Refused[]) => Promise<void>;
  /** Messages left the spool: they are on the bus, or dead-lettered if refused. */
  readonly onDrained: (messages: number, refused: number) => void;
}

/** How an append ended. */
type Ended = { readonly appended: Appended } | { readonly error: unknown };

export class Detour {
  readonly #context: DetourContext;
  readonly #retry: Retry;
  /** The append of the lane's batch: the lane gives the same one until it is durable. */
  #underWay: Promise<Ended> | null = null;
  #triedSinceMs: number | null = null;
  #draining: Promise<void> | null = null;
  /** To the spool. */
  #writing: Promise<void> | null = null;
  #isAlmostEmpty = false;
  #isHurried = false;
  #waiting: AbortController | null = null;

  constructor(context: DetourContext) {
    this.#context = context;
    this.#retry = new Retry(context);
  }

  /** Drains what an earlier run left. */
  start(): void {
    if (this.#count() > 0) this.#draining = this.#drain([], null);
  }

  /** Messages go to the spool now. */
  get isSpooling(): boolean {
    return this.#draining !== null;
  }

  /** Waits for the bus no more: what it has not taken goes to the spool. */
  hurry(): void {
    this.#isHurried = true;
    this.#waiting?.abort();
  }

  /** Resolves when the records are durable, on the bus or in the spool; a tick is not spooled, there will be others. */
  async append(records: readonly NewRecord[]): Promise<Appended> {
    if (this.#isAlmostEmpty) await this.#waitForTheRest();
    const appended = this.#draining === null ? await this.#appendToBus(records) : null;
    return appended ?? this.#appendToSpool(records.filter((record) => !isTick(record)));
  }

  /** Else draining would have to be faster than everything that comes. */
  async #waitForTheRest(): Promise<void> {
    const isDrained = this.#draining?.then(() => true) ?? true;
    if ((await this.#inTime(isDrained, this.#context.spool.afterMs)) === null) this.#isAlmostEmpty = false;
  }

  /** `null`: the bus stalls. Rejects as the bus does before it has stalled for long. */
  async #appendToBus(records: readonly NewRecord[]): Promise<Appended | null> {
    const { clock, spool, append } = this.#context;
    this.#triedSinceMs ??= clock.nowMs();
    const leftMs = () => this.#triedSinceMs! + spool.afterMs - clock.nowMs();
    this.#underWay ??= endOf(append(records));
    const ended = await this.#inTime(this.#underWay, leftMs());
    if (ended === null) return null;
    this.#underWay = null;
    if ('appended' in ended) {
      this.#triedSinceMs = null;
      return ended.appended;
    }
    if (leftMs() > 0 && !this.#isHurried) throw ended.error;
    return null;
  }

  async #appendToSpool(messages: readonly NewRecord[]): Promise<Appended> {
    const { spool, log } = this.#context;
    const writing = spool.append(messages);
    this.#writing = writing.catch(() => {});
    await writing.finally(() => {
      this.#writing = null;
    });
    if (this.#draining === null) {
      log.warn({ partitions: this.#context.partitions }, 'the bus stalls: messages go to the spool');
      this.#draining = this.#drain(messages, this.#underWay);
      this.#underWay = null;
    }
    return { where: 'spool', refused: [] };
  }

  /** `underWay`: the append of `first` that was not waited for; when it lands after all, they need no other. */
  async #drain(first: readonly NewRecord[], underWay: Promise<Ended> | null): Promise<void> {
    const { partitions, givingUp, log } = this.#context;
    const ended = await underWay;
    if (givingUp.aborted) return;
    if (ended !== null && 'appended' in ended && ended.appended.refused.length === 0) await this.#remove(first, []);
    while (this.#count() > 0 || this.#writing !== null) {
      if (this.#count() === 0) await this.#writing;
      else await this.#drainBatch();
      if (givingUp.aborted) return;
    }
    // In one step with the last look: whatever comes next goes straight.
    this.#draining = null;
    this.#isAlmostEmpty = false;
    this.#triedSinceMs = null;
    log.info({ partitions }, 'the spool is drained');
  }

  async #drainBatch(): Promise<void> {
    const { spool, partitions, options, append, deadLetter, givingUp } = this.#context;
    const { maxBatchRecords, maxBatchBytes } = options;
    const records = await this.#retry.until(() => spool.next(partitions, maxBatchRecords, maxBatchBytes));
    if (records === null) return;
    const appended = await this.#retry.until(() => append(records));
    if (appended === null) return;
    const { refused } = appended;
    if (refused.length > 0) await this.#retry.until(() => deadLetter(records, refused));
    if (givingUp.aborted) return;
    await this.#remove(records, refused);
    this.#isAlmostEmpty = this.#count() <= maxBatchRecords;
  }

  async #remove(records: readonly NewRecord[], refused: readonly Refused[]): Promise<void> {
    const { spool, onDrained } = this.#context;
    const removed = spool.remove(records);
    onDrained(records.length, refused.length);
    await removed;
  }

  #count(): number {
    return this.#context.spool.count(this.#context.partitions);
  }

  /** `null`: not within `ms`, or in a hurry. */
  async #inTime<T>(work: T | Promise<T>, ms: number): Promise<T | null> {
    const waiting = new AbortController();
    this.#waiting = waiting;
    if (ms <= 0 || this.#isHurried) waiting.abort();
    try {
      return await Promise.race([work, this.#context.clock.sleep(ms, waiting.signal).then(() => null)]);
    } finally {
      waiting.abort();
    }
  }
}

function endOf(append: Promise<Appended>): Promise<Ended> {
  return append.then(
    (appended) => ({ appended }),
    (error: unknown) => ({ error }),
  );
}
