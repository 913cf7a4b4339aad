/** Tries a call again until it succeeds or the gateway gives up. Says once that it fails, and once that it works again. */
import type { Clock } from '../../core/clock.ts';
import { messageOf, SluiceError } from '../../core/errors.ts';
import type { Logger } from '../../core/log.ts';

const firstPauseMs = 50;
const longestPauseMs = 2000;

export interface RetryContext {
  readonly clock: Clock;
  readonly log: Logger;
  /** Aborts when the gateway gives up. */
  readonly givingUp: AbortSignal;
}

export class Retry {
  readonly #context: RetryContext;
  readonly #what: string;
  /** Why the last call failed; `null` when it did not. */
  problem: string | null = null;

  /** `what` is done: for the log. */
  constructor(context: RetryContext, what = 'appending') {
    this.#context = context;
    this.#what = what;
  }

  /** `null`: the gateway gave up. */
  async until<T>(call: () => Promise<T>): Promise<T | null> {
    const { clock, givingUp } = this.#context;
    for (let pauseMs = firstPauseMs; !givingUp.aborted; pauseMs = Math.min(pauseMs * 2, longestPauseMs)) {
      try {
        const result = await call();
        this.#succeeded();
        return result;
      } catch (error) {
        this.#failed(error);
      }
      await clock.sleep(pauseMs, givingUp);
    }
    return null;
  }

  #succeeded(): void {
    if (this.problem !== null) this.#context.log.info({}, `${this.#what} succeeds again`);
    this.problem = null;
  }

  #failed(error: unknown): void {
    const isFirst = this.problem === null;
    this.problem = messageOf(error);
    if (!isFirst) return;
    const fields = { error: this.problem };
    if (error instanceof SluiceError && error.retriable) {
      this.#context.log.warn(fields, `${this.#what} fails; it is tried again`);
    } else {
      this.#context.log.error(fields, `${this.#what} fails, and will not succeed by itself; it is tried again`);
    }
  }
}
