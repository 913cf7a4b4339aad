import type { Clock } from '../core/clock.ts';

/**
 * Work that is done only when someone asks for it, and again only when the last time is `everyMs` ago; one at a time,
 * however many ask. So a page that nobody looks at costs neither the bus nor the store anything.
 */
export class OnDemand {
  readonly #work: () => Promise<void>;
  readonly #everyMs: number;
  readonly #clock: Clock;
  #running: Promise<void> | null = null;
  #startedAtMs = Number.NEGATIVE_INFINITY;

  constructor(clock: Clock, everyMs: number, work: () => Promise<void>) {
    this.#clock = clock;
    this.#everyMs = everyMs;
    this.#work = work;
  }

  /** Resolves when the work is done or was done a moment ago; rejects with what it rejects with. */
  run(): Promise<void> {
    const nowMs = this.#clock.nowMs();
    if (this.#running === null && nowMs - this.#startedAtMs < this.#everyMs) return Promise.resolve();
    if (this.#running === null) {
      this.#startedAtMs = nowMs;
      this.#running = this.#work()
        .catch((error) => {
          this.#startedAtMs = Number.NEGATIVE_INFINITY;
          throw error;
        })
        .finally(() => {
          this.#running = null;
        });
    }
    return this.#running;
  }
}
