/**
 * How often what duration occurred, in the layout of HdrHistogram: whole milliseconds up to 2047, above that three
 * significant digits, up to a day. Its size is fixed, and what was added since a copy of it can be told apart exactly.
 */
const subBuckets = 2048;
const halfBuckets = subBuckets / 2;
const longestMs = 86_400_000;
const slots = indexOf(longestMs) + 1;

export interface Quantiles {
  readonly count: number;
  readonly min: number;
  readonly mean: number;
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
}

export class Histogram {
  readonly #counts = new Float64Array(slots);
  /** From here on all slots are empty. */
  #end = 0;
  #total = 0;
  #sumMs = 0;

  /** Negative is 0, more than a day is a day. */
  add(ms: number): void {
    const value = Math.min(longestMs, Math.max(0, Math.round(ms)));
    const index = indexOf(value);
    this.#counts[index]!++;
    if (index >= this.#end) this.#end = index + 1;
    this.#total++;
    this.#sumMs += value;
  }

  copy(): Histogram {
    return this.since(new Histogram());
  }

  /** What was added since `earlier`, a copy of this one, was made. */
  since(earlier: Histogram): Histogram {
    const rest = new Histogram();
    for (let index = 0; index < this.#end; index++) {
      rest.#counts[index] = this.#counts[index]! - earlier.#counts[index]!;
    }
    rest.#end = this.#end;
    rest.#total = this.#total - earlier.#total;
    rest.#sumMs = this.#sumMs - earlier.#sumMs;
    return rest;
  }

  /** Milliseconds, the highest that its slot stands for; `null` when nothing was added. */
  quantile(q: number): number | null {
    if (this.#total === 0) return null;
    let left = Math.max(1, Math.ceil(this.#total * q));
    for (let index = 0; ; index++) {
      left -= this.#counts[index]!;
      if (left <= 0) return highestOf(index);
    }
  }

  /** `null` when nothing was added. */
  quantiles(): Quantiles | null {
    if (this.#total === 0) return null;
    return {
      count: this.#total,
      min: this.quantile(0)!,
      mean: Math.round((this.#sumMs / this.#total) * 100) / 100,
      p50: this.quantile(0.5)!,
      p90: this.quantile(0.9)!,
      p99: this.quantile(0.99)!,
      p999: this.quantile(0.999)!,
      max: this.quantile(1)!,
    };
  }

  /** The slots in which anything is: `[milliseconds, count]`, rising. */
  slots(): [ms: number, count: number][] {
    const filled: [number, number][] = [];
    for (let index = 0; index < this.#end; index++) {
      const count = this.#counts[index]!;
      if (count > 0) filled.push([highestOf(index), count]);
    }
    return filled;
  }
}

/** Above 2047 each doubling has 1024 slots. */
function indexOf(ms: number): number {
  const shift = Math.max(0, 21 - Math.clz32(ms));
  return shift * halfBuckets + (ms >> shift);
}

function highestOf(index: number): number {
  const shift = Math.max(0, Math.floor(index / halfBuckets) - 1);
  return ((index - shift * halfBuckets + 1) << shift) - 1;
}
