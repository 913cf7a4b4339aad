/**
 * Appends what there is to say of devices and clients: the newest of each key, at a pace that floods no one who reads it.
 * Best effort and bounded; telemetry never waits for it.
 */
import type { Bus, NewRecord } from '../../bus/port.ts';
import type { Clock } from '../../core/clock.ts';
import { endsWithin } from '../../core/deadline.ts';
import { messageOf, RecordsRefusedError } from '../../core/errors.ts';
import type { Logger } from '../../core/log.ts';

/** At the bound the oldest is given up. */
const maxWaiting = 100_000;
/** 2,000 records a second: a fleet that is cut off is told of within seconds. */
const everyMs = 200;
const maxBatchRecords = 400;

export interface TellerContext {
  readonly bus: Bus;
  readonly topic: string;
  readonly clock: Clock;
  readonly log: Logger;
}

export class Teller {
  /** Records that were never appended: too many waited, or the bus refused them for good. */
  givenUp = 0;
  readonly #context: TellerContext;
  readonly #waiting = new Map<string, NewRecord>();
  #appending: Promise<void> | null = null;
  #stopTicking: () => void = () => {};

  constructor(context: TellerContext) {
    this.#context = context;
  }

  /** Records that wait, those of an append that is under way among them. */
  get waiting(): number {
    return this.#waiting.size;
  }

  has(key: string): boolean {
    return this.#waiting.has(key);
  }

  start(): void {
    this.#stopTicking = this.#context.clock.every(everyMs, () => void this.#flush());
  }

  /** Tells no more. */
  stop(): void {
    this.#stopTicking();
  }

  /** Tells what waits, at once and as far as the bus takes it within `deadlineMs`. */
  async close(deadlineMs: number): Promise<void> {
    this.stop();
    await endsWithin(this.#context.clock, deadlineMs, this.#flushAll());
  }

  /** Takes the place of what waits for the same key: what comes and goes quickly is told once. */
  tell(record: NewRecord): void {
    this.#waiting.delete(record.key);
    this.#waiting.set(record.key, record);
    if (this.#waiting.size <= maxWaiting) return;
    this.#waiting.delete(this.#waiting.keys().next().value!);
    this.givenUp++;
  }

  /** What waits for the key is not said, if it is not on its way already. */
  withdraw(key: string): void {
    this.#waiting.delete(key);
  }

  /** Until nothing waits, or the bus takes nothing. */
  async #flushAll(): Promise<void> {
    await this.#appending;
    for (let before = -1; this.#waiting.size > 0 && this.#waiting.size !== before; ) {
      before = this.#waiting.size;
      await this.#flush();
    }
  }

  /** One append at a time. */
  #flush(): Promise<void> {
    this.#appending ??= this.#append().finally(() => {
      this.#appending = null;
    });
    return this.#appending;
  }

  /** One batch; what the bus does not take now waits for the next time, unless it is overtaken by a newer one. */
  async #append(): Promise<void> {
    const { bus, topic, log } = this.#context;
    const records = [...this.#waiting.values().take(maxBatchRecords)];
    try {
      if (records.length > 0) await bus.append(topic, records);
    } catch (error) {
      if (!(error instanceof RecordsRefusedError)) {
        log.debug({ topic, error: messageOf(error) }, 'what there is to say could not be told yet');
        return;
      }
      this.givenUp += error.refused.length;
      log.warn({ topic, error: messageOf(error) }, 'the bus refuses what there is to say');
    }
    for (const record of records) if (this.#waiting.get(record.key) === record) this.#waiting.delete(record.key);
  }
}
