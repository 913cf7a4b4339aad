/** Waits for outages of store and bus to end: both reject at once, and who calls them tries again. */
import type { Clock } from '../../core/clock.ts';
import { messageOf, SluiceError, StoreUnavailableError } from '../../core/errors.ts';

const firstPauseMs = 200;
const longestPauseMs = 10_000;

export class Retrying {
  readonly #clock: Clock;
  readonly #signal: AbortSignal;
  readonly #tell: (text: string) => void;

  /** `tell` hears of each outage once. Aborting ends the wait for one. */
  constructor(clock: Clock, signal: AbortSignal, tell: (text: string) => void) {
    this.#clock = clock;
    this.#signal = signal;
    this.#tell = tell;
  }

  /** Rejects with the reason of the signal when it is aborted, else only with what trying again cannot help. */
  async until<T>(attempt: () => Promise<T>): Promise<T> {
    let told = '';
    for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(pauseMs * 2, longestPauseMs)) {
      this.#signal.throwIfAborted();
      try {
        return await attempt();
      } catch (error) {
        if (!(error instanceof SluiceError) || !error.retriable) throw error;
        if (messageOf(error) !== told) this.#tell(`waiting: ${messageOf(error)}`);
        told = messageOf(error);
        const askedMs = error instanceof StoreUnavailableError ? (error.retryAfterMs ?? 0) : 0;
        await this.#clock.sleep(Math.max(pauseMs, askedMs), this.#signal);
      }
    }
  }
}
