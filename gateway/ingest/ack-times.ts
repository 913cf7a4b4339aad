/** How long acknowledgements took, over the last ten to twenty seconds, in logarithmic buckets of about ten per cent. */
const bucketsPerDecade = 24;
const buckets = bucketsPerDecade * 6;
const halfMs = 10_000;

export class AckTimes {
  #newer = new Uint32Array(buckets);
  #older = new Uint32Array(buckets);
  #newerSinceMs = 0;

  add(tookMs: number, nowMs: number): void {
    this.#turn(nowMs);
    this.#newer[bucketOf(tookMs)]!++;
  }

  /** `null` when there was none. */
  quantiles(nowMs: number): { p50: number; p99: number } | null {
    this.#turn(nowMs);
    const counts = this.#newer.map((n, i) => n + this.#older[i]!);
    const total = counts.reduce((sum, n) => sum + n, 0);
    return total === 0 ? null : { p50: quantile(counts, total, 0.5), p99: quantile(counts, total, 0.99) };
  }

  #turn(nowMs: number): void {
    if (nowMs - this.#newerSinceMs < halfMs) return;
    this.#older = nowMs - this.#newerSinceMs < 2 * halfMs ? this.#newer : new Uint32Array(buckets);
    this.#newer = new Uint32Array(buckets);
    this.#newerSinceMs = nowMs;
  }
}

function bucketOf(ms: number): number {
  return Math.min(buckets - 1, Math.max(0, Math.round(Math.log10(Math.max(ms, 0.1) * 10) * bucketsPerDecade)));
}

function quantile(counts: Uint32Array, total: number, q: number): number {
  let left = Math.ceil(total * q);
  const bucket = counts.findIndex((n) => {
    left -= n;
    return left <= 0;
  });
  return Math.round(10 ** (bucket / bucketsPerDecade)) / 10;
}
