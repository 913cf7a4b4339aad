/**
 * Says on the commands topic what became of commands: each until the bus has it, one append at a time. What waits here is
 * bounded by the pending commands: for each at most its acknowledgement and the end of its time.
 */
import type { Bus, NewRecord } from '../../bus/port.ts';
import type { Clock } from '../../core/clock.ts';
import { endsWithin } from '../../core/deadline.ts';
import { RecordsRefusedError } from '../../core/errors.ts';
import type { Logger } from '../../core/log.ts';
import { Retry } from '../ingest/retry.ts';

const maxBatchRecords = 1000;

export interface OutcomesContext {
  readonly bus: Bus;
  /** The commands topic. */
  readonly topic: string;
  readonly clock: Clock;
  readonly log: Logger;
}

export class Outcomes {
  readonly #context: OutcomesContext;
  readonly #givingUp = new AbortController();
  readonly #retry: Retry;
  readonly #waiting: NewRecord[] = [];
  #running: Promise<void> | null = null;

  constructor(context: OutcomesContext) {
    const { clock, log } = context;
    this.#context = context;
    this.#retry = new Retry({ clock, log, givingUp: this.#givingUp.signal }, 'saying what became of commands');
  }

  push(record: NewRecord): void {
    this.#waiting.push(record);
    if (this.#running === null) this.#running = this.#run();
  }

  /** Waits until all is said, at most so long. What is not said then happens once more: the device gets it again. */
  async close(deadlineMs: number): Promise<void> {
    await endsWithin(this.#context.clock, deadlineMs, Promise.resolve(this.#running));
    this.#givingUp.abort();
  }

  async #run(): Promise<void> {
    while (this.#waiting.length > 0 && !this.#givingUp.signal.aborted) {
      const batch = this.#waiting.slice(0, maxBatchRecords);
      await this.#retry.until(() => this.#append(batch));
      this.#waiting.splice(0, batch.length);
    }
    this.#running = null;
  }

  async #append(records: readonly NewRecord[]): Promise<void> {
    const { bus, topic, log } = this.#context;
    try {
      await bus.append(topic, records);
    } catch (error) {
      if (!(error instanceof RecordsRefusedError)) throw error;
      log.error({ error: error.message }, 'the bus refuses what became of commands: they will expire');
    }
  }
}
