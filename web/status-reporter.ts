/**
 * Appends each second what the roles of this process say of themselves, key `role/instance`, so that a page in any other
 * process can show them. Best effort: a second that the bus does not take is skipped, the next one says it all again.
 */
import type { Bus, NewRecord } from '../bus/port.ts';
import type { Clock } from '../core/clock.ts';
import { endsWithin } from '../core/deadline.ts';
import { messageOf } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';
import type { PipelineStatus } from '../core/status.ts';
import type { TopicNames } from '../core/topics.ts';

const everyMs = 1000;
/** What the last words of a process may take. */
const lastWithinMs = 2000;

export interface StatusReporterContext {
  readonly bus: Bus;
  readonly topics: TopicNames;
  readonly status: () => readonly PipelineStatus[];
  readonly clock: Clock;
  readonly log: Logger;
}

export class StatusReporter {
  readonly #context: StatusReporterContext;
  #stop: (() => void) | null = null;
  #appending: Promise<void> | null = null;
  #isClosed = false;

  constructor(context: StatusReporterContext) {
    this.#context = context;
  }

  /** Idempotent. */
  async start(): Promise<void> {
    if (this.#stop !== null || this.#isClosed) return;
    this.#stop = this.#context.clock.every(everyMs, () => this.#report());
    this.#report();
  }

  /** Says the last counters of this run, as far as the bus takes them within two seconds. Idempotent. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    if (this.#stop === null) return;
    this.#stop();
    const last = Promise.resolve(this.#appending).then(() => this.#append());
    await endsWithin(this.#context.clock, lastWithinMs, last);
  }

  /** At most one append is under way: a slow bus gets fewer reports, not a queue of them. */
  #report(): void {
    this.#appending ??= this.#append().finally(() => {
      this.#appending = null;
    });
  }

  async #append(): Promise<void> {
    const { bus, topics, status, log } = this.#context;
    const records = status().map(recordOf);
    if (records.length === 0) return;
    try {
      await bus.append(topics.pipelineStatus, records);
    } catch (error) {
      log.debug({ error: messageOf(error) }, 'the status of this process could not be told');
    }
  }
}

function recordOf(status: PipelineStatus): NewRecord {
  return {
    key: `${status.role}/${status.instance}`,
    value: Buffer.from(JSON.stringify(status)),
    headers: {},
    timestampMs: status.atMs,
  };
}
