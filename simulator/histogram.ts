/** How often what duration occurred, in logarithmic buckets of less than four per cent: milliseconds from 0 to a day. */
const perDecade = 64;
const buckets = perDecade * 8;

export interface Quantiles {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

export class Histogram {
  readonly #counts = new Float64Array(buckets);
  #total = 0;
  #max = 0;

  add(ms: number): void {
    const bucket = ms < 1 ? 0 : 1 + Math.round(Math.log10(ms) * perDecade);
    this.#counts[Math.min(bucket, buckets - 1)]!++;
    this.#total++;
    this.#max = Math.max(this.#max, ms);
  }

  /** `null` when nothing was added. */
  quantiles(): Quantiles | null {
    if (this.#total === 0) return null;
    return { p50: this.#quantile(0.5), p99: this.#quantile(0.99), max: this.#max };
  }

  #quantile(q: number): number {
    let left = Math.ceil(this.#total * q);
    const bucket = this.#counts.findIndex((count) => {
      left -= count;
      return left <= 0;
    });
    if (bucket === 0) return 0;
    return Math.min(this.#max, Math.round(10 ** ((bucket - 1) / perDecade) * 10) / 10);
  }
}
