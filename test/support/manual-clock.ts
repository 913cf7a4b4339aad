import type { Clock } from '../../core/clock.ts';

/** A clock that moves only when a test says so. */
export class ManualClock implements Clock {
  #nowMs: number;
  #timers: { atMs: number; everyMs: number | null; run: () => void }[] = [];

  constructor(startMs = 1_700_000_000_000) {
    this.#nowMs = startMs;
  }

  nowMs(): number {
    return this.#nowMs;
  }

  sleep(delayMs: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (signal?.aborted) return resolve();
      const timer = { atMs: this.#nowMs + delayMs, everyMs: null, run: resolve };
      this.#timers.push(timer);
      signal?.addEventListener('abort', () => {
        this.#remove(timer);
        resolve();
      });
    });
  }

  every(periodMs: number, tick: () => void): () => void {
    const timer = { atMs: this.#nowMs + periodMs, everyMs: periodMs, run: tick };
    this.#timers.push(timer);
    return () => this.#remove(timer);
  }

  /** Moves time on, running what falls due in order. */
  advance(byMs: number): void {
    const untilMs = this.#nowMs + byMs;
    for (;;) {
      const due = this.#timers.filter((timer) => timer.atMs <= untilMs).sort((a, b) => a.atMs - b.atMs)[0];
      if (due === undefined) break;
      this.#nowMs = due.atMs;
      if (due.everyMs === null) this.#remove(due);
      else due.atMs += due.everyMs;
      due.run();
    }
    this.#nowMs = untilMs;
  }

  #remove(timer: object): void {
    this.#timers = this.#timers.filter((other) => other !== timer);
  }
}
