/** Follows a topic as soon as the bus lets it. A gateway takes messages all the same: nothing waits for it. */
import type { Bus, BusRecord, Following } from '../bus/port.ts';
import type { Clock } from '../core/clock.ts';
import { messageOf } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';

const againAfterMs = 2000;

export interface FollowContext {
  readonly bus: Bus;
  readonly topic: string;
  readonly from: 'beginning' | 'end';
  /** Must not throw: it would be the end of following on some buses. */
  readonly onRecords: (records: readonly BusRecord[]) => void;
  readonly clock: Clock;
  readonly log: Logger;
}

export class Follow {
  readonly #context: FollowContext;
  readonly #closing = new AbortController();
  #following: Following | null = null;
  #problem: string | null = null;

  constructor(context: FollowContext) {
    this.#context = context;
  }

  /** Everything that was there has been given, and what comes will be. */
  get isFollowing(): boolean {
    return this.#following !== null;
  }

  /** Why it does not follow yet, in words; empty = it does, or has only begun. */
  problems(): string[] {
    return this.#problem === null ? [] : [`${this.#context.topic} cannot be read: ${this.#problem}`];
  }

  /** `onFollowing` is called once: from then on `isFollowing`. */
  start(onFollowing: () => void = () => {}): void {
    void this.#run(onFollowing);
  }

  /** Gives no more records. Idempotent. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#following?.close();
    this.#following = null;
  }

  async #run(onFollowing: () => void): Promise<void> {
    const { clock, topic, log } = this.#context;
    const { signal } = this.#closing;
    while (!signal.aborted) {
      try {
        await this.#follow();
        if (!signal.aborted) onFollowing();
        return;
      } catch (error) {
        if (this.#problem === null && !signal.aborted)
          log.warn({ topic, error: messageOf(error) }, 'a topic cannot be read yet');
        this.#problem = messageOf(error);
      }
      await clock.sleep(againAfterMs, signal);
    }
  }

  async #follow(): Promise<void> {
    const { bus, topic, from, onRecords } = this.#context;
    const { signal } = this.#closing;
    const following = await bus.follow(topic, from, (records) => {
      if (!signal.aborted) onRecords(records);
    });
    // It was closed meanwhile, and nobody waited.
    if (signal.aborted) return following.close();
    this.#following = following;
    this.#problem = null;
  }
}
