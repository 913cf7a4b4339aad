/** The fold of one window of one field: everything a rollup tells, from one pass over the values. */
import { type DigestState, TDigest } from './tdigest.ts';

/** Up to so many values percentiles are exact; beyond, a t-digest estimates them. */
export const exactValues = 512;

export interface FoldState {
  readonly count: number;
  readonly sum: number;
  readonly sumRest: number;
  readonly mean: number;
  readonly m2: number;
  readonly min: number;
  readonly max: number;
  readonly first: number;
  readonly firstUs: number;
  readonly last: number;
  readonly lastUs: number;
  readonly values: number[];
  readonly digest: DigestState | null;
}

/** What a rollup shows of its values. A type alias, so that it is assignable to a point's fields. */
export type Aggregates = {
  readonly count: number;
  readonly sum: number;
  readonly min: number;
  readonly max: number;
  readonly mean: number;
  /** Of the sample; 0 for one value. */
  readonly stddev: number;
  readonly first: number;
  readonly last: number;
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
};

export class Fold {
  count = 0;
  #sum = 0;
  /** What rounding took from the sum (Neumaier), so that 10⁷ small terms on a large one are not lost. */
  #sumRest = 0;
  #mean = 0;
  /** Sum of squared distances from the mean (Welford): no difference of large squares. */
  #m2 = 0;
  #min = Number.POSITIVE_INFINITY;
  #max = Number.NEGATIVE_INFINITY;
  #first = 0;
  #firstUs = Number.POSITIVE_INFINITY;
  #last = 0;
  #lastUs = Number.NEGATIVE_INFINITY;
  #values: number[] = [];
  #digest: TDigest | null = null;

  add(value: number, timeUs: number): void {
    this.count++;
    this.#addToSum(value);
    const distance = value - this.#mean;
    this.#mean += distance / this.count;
    this.#m2 += distance * (value - this.#mean);
    if (value < this.#min) this.#min = value;
    if (value > this.#max) this.#max = value;
    if (timeUs < this.#firstUs) {
      this.#first = value;
      this.#firstUs = timeUs;
    }
    if (timeUs >= this.#lastUs) {
      this.#last = value;
      this.#lastUs = timeUs;
    }
    this.#addToPercentiles(value);
  }

  aggregates(): Aggregates {
    const [p50, p95, p99] = this.#quantiles([0.5, 0.95, 0.99]);
    return {
      count: this.count,
      sum: this.#sum + this.#sumRest,
      min: this.#min,
      max: this.#max,
      mean: this.#mean,
      stddev: this.count > 1 ? Math.sqrt(Math.max(0, this.#m2) / (this.count - 1)) : 0,
      first: this.#first,
      last: this.#last,
      p50: p50!,
      p95: p95!,
      p99: p99!,
    };
  }

  state(): FoldState {
    return {
      count: this.count,
      sum: this.#sum,
      sumRest: this.#sumRest,
      mean: this.#mean,
      m2: this.#m2,
      min: this.#min,
      max: this.#max,
      first: this.#first,
      firstUs: this.#firstUs,
      last: this.#last,
      lastUs: this.#lastUs,
      values: this.#values,
      digest: this.#digest?.state() ?? null,
    };
  }

  static from(state: FoldState): Fold {
    const fold = new Fold();
    fold.count = state.count;
    fold.#sum = state.sum;
    fold.#sumRest = state.sumRest;
    fold.#mean = state.mean;
    fold.#m2 = state.m2;
    fold.#min = state.min;
    fold.#max = state.max;
    fold.#first = state.first;
    fold.#firstUs = state.firstUs;
    fold.#last = state.last;
    fold.#lastUs = state.lastUs;
    fold.#values = [...state.values];
    fold.#digest = state.digest === null ? null : TDigest.from(state.digest);
    return fold;
  }

  #addToSum(value: number): void {
    const sum = this.#sum + value;
    this.#sumRest += Math.abs(this.#sum) >= Math.abs(value) ? this.#sum - sum + value : value - sum + this.#sum;
    this.#sum = sum;
  }

  #addToPercentiles(value: number): void {
    if (this.#digest !== null) {
      this.#digest.add(value);
      return;
    }
    this.#values.push(value);
    if (this.#values.length <= exactValues) return;
    this.#digest = new TDigest();
    for (const kept of this.#values) this.#digest.add(kept);
    this.#values = [];
  }

  /** Linear between the two nearest ranks, as most tools do it (type 7 of Hyndman & Fan). */
  #quantiles(shares: readonly number[]): number[] {
    const digest = this.#digest;
    if (digest !== null) return shares.map((q) => digest.quantile(q, this.#min, this.#max));
    const sorted = Float64Array.from(this.#values).sort();
    return shares.map((q) => {
      const rank = q * (sorted.length - 1);
      const below = Math.floor(rank);
      const low = sorted[below]!;
      return low + ((sorted[below + 1] ?? low) - low) * (rank - below);
    });
  }
}
