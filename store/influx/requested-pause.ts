/**
 * `Retry-After`: for how long the server asks not to be written to. All partitions keep to it, not only the one whose
 * write it refused.
 */
import type { Clock } from '../../core/clock.ts';
import { StoreUnavailableError } from '../../core/errors.ts';

/** What is asked for beyond it is a mistake somewhere on the way: nothing would be stored for as long. */
const longestMs = 300_000;

export class RequestedPause {
  readonly #clock: Clock;
  #untilMs = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Throws StoreUnavailableError while the pause lasts. */
  check(): void {
    const retryAfterMs = this.#untilMs - this.#clock.nowMs();
    // More than was ever asked for: the clock of this machine was put back.
    if (retryAfterMs <= 0 || retryAfterMs > longestMs) return;
    throw new StoreUnavailableError('InfluxDB asked not to be written to for a while', { retryAfterMs });
  }

  /** Takes the header of an answer; returns what it asks for, ms. */
  begin(retryAfter: unknown): number | undefined {
    const nowMs = this.#clock.nowMs();
    const pauseMs = Math.min(pauseOf(retryAfter, nowMs), longestMs);
    if (!(pauseMs > 0)) return undefined;
    this.#untilMs = nowMs + pauseMs;
    return pauseMs;
  }
}

/** In seconds or as a date; NaN when it is neither. */
function pauseOf(retryAfter: unknown, nowMs: number): number {
  if (typeof retryAfter !== 'string') return Number.NaN;
  return /^\d+$/.test(retryAfter) ? Number(retryAfter) * 1000 : Date.parse(retryAfter) - nowMs;
}
