import type { Clock } from '../core/clock.ts';

/** Work is done again after a rest of this many times what it took: it never has more than a third of the time. */
const restFactor = 2;

/**
 * Work that is done only when someone asks for it, and again at the earliest `everyMs` later; one at a time, however many
 * ask. So a page that nobody looks at costs neither the bus nor the store anything, and one that is looked at not much.
 */
export class OnDemand {
  readonly #work: () => Promise<void>;
  readonly #everyMs: number;
  readonly #clock: Clock;
  #running: Promise<void> | null = null;
  #againAtMs = 0;

  constructor(clock: Clock, everyMs: number, work: () => Promise<void>) {
    this.#clock = clock;
    this.#everyMs = everyMs;
    this.#work = work;
  }

  /** Resolves when the work is done, or was done a moment ago; rejects with what it rejects with. */
  run(): Promise<void> {
    if (this.#running === null) {
      if (this.#clock.nowMs() < this.#againAtMs) return Promise.resolve();
      this.#running = this.#do().finally(() => {
        this.#running = null;
      });
    }
    return this.#running;
  }

  async #do(): Promise<void> {
    const startMs = this.#clock.nowMs();
    await this.#work();
    const endMs = this.#clock.nowMs();
    this.#againAtMs = Math.max(startMs + this.#everyMs, endMs + restFactor * (endMs - startMs));
  }
}
