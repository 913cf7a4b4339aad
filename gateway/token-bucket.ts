/** A rate with a burst of one second. What is taken over it is a debt: `waitMs` says when it is paid. */
export class TokenBucket {
  readonly #perSecond: number;
  #tokens: number;
  #atMs: number;

  constructor(perSecond: number, nowMs: number) {
    this.#perSecond = perSecond;
    this.#tokens = perSecond;
    this.#atMs = nowMs;
  }

  /** Returns the time until nothing is owed, milliseconds. */
  take(tokens: number, nowMs: number): number {
    // A clock that was set back gives nothing and takes nothing.
    const seconds = Math.max(0, nowMs - this.#atMs) / 1000;
    this.#atMs = nowMs;
    this.#tokens = Math.min(this.#perSecond, this.#tokens + seconds * this.#perSecond) - tokens;
    return this.#tokens >= 0 ? 0 : (-this.#tokens / this.#perSecond) * 1000;
  }

  /** The same, of what is owed already. */
  waitMs(nowMs: number): number {
    return this.take(0, nowMs);
  }
}
