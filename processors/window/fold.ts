/**
 * What is kept of the values of one field in one window: enough for every field of a rollup, and mergeable, so that
 * shorter windows make longer ones.
 */
import type { StateReader, StateWriter } from '../codec.ts';
import { type Digest, loadDigest, merged, quantile, saveDigest, withValues } from './tdigest.ts';
import { readValues, writeValues } from './values.ts';

/** Percentiles are exact up to so many values. */
export const maxExactValues = 512;

/** Of a merged one, beside its digest: long windows wait for their next part for long, and there are many of them. */
const maxValuesOfMerged = 256;

export interface Summary {
  readonly count: number;
  readonly sum: number;
  readonly min: number;
  readonly max: number;
  readonly mean: number;
  /** Of a sample (n − 1); 0 for one value. */
  readonly stddev: number;
  /** By event time; of two at one time the first to come is `first`, the last to come is `last`. */
  readonly first: number;
  readonly last: number;
  /** Linear between neighbouring ranks. */
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
}

export class Fold {
  #count = 0;
  /** Neumaier's sum: what rounding loses is kept beside it. */
  #sum = 0;
  #lost = 0;
  #min = Number.POSITIVE_INFINITY;
  #max = Number.NEGATIVE_INFINITY;
  /** Welford's mean and sum of squared distances, of what the values are above the first: an offset costs no digits. */
  #base = 0;
  #mean = 0;
  #m2 = 0;
  #firstUs = Number.POSITIVE_INFINITY;
  #first = 0;
  #lastUs = Number.NEGATIVE_INFINITY;
  #last = 0;
  /** Values not yet in the digest: all of them, in the order in which they came, while there is none. */
  #values: number[] = [];
  #digest: Digest | null = null;

  get count(): number {
    return this.#count;
  }

  add(value: number, timeUs: number): void {
    this.#take(value);
    if (timeUs < this.#firstUs) {
      this.#firstUs = timeUs;
      this.#first = value;
    }
    if (timeUs >= this.#lastUs) {
      this.#lastUs = timeUs;
      this.#last = value;
    }
  }

  /** Takes over what another fold holds, whose values came after this one's. Into an empty one: a copy. */
  merge(other: Fold): void {
    if (other.#firstUs < this.#firstUs) {
      this.#firstUs = other.#firstUs;
      this.#first = other.#first;
    }
    if (other.#lastUs >= this.#lastUs) {
      this.#lastUs = other.#lastUs;
      this.#last = other.#last;
    }
    if (other.#digest === null) {
      const values = other.#values;
      for (let i = 0; i < values.length; i++) this.#take(values[i]!);
    } else if (this.#count === 0) {
      this.#copyDigested(other);
    } else {
      this.#digest = merged(this.#whole(), other.#whole());
      this.#values = [];
      this.#mergeMoments(other);
    }
    if (this.#digest !== null && this.#values.length > maxValuesOfMerged) this.#digestValues();
  }

  /** Of at least one value. Changes nothing. */
  summary(): Summary {
    const percentile = this.#percentiles();
    const sum = this.#sum + this.#lost;
    return {
      count: this.#count,
      sum,
      min: this.#min,
      max: this.#max,
      mean: sum / this.#count,
      stddev: this.#count === 1 ? 0 : Math.sqrt(this.#m2 / (this.#count - 1)),
      first: this.#first,
      last: this.#last,
      p50: percentile(0.5),
      p95: percentile(0.95),
      p99: percentile(0.99),
    };
  }

  #take(value: number): void {
    const count = ++this.#count;
    if (count === 1) this.#base = value;
    this.#addToSum(value);
    if (value < this.#min) this.#min = value;
    if (value > this.#max) this.#max = value;
    const offset = value - this.#base;
    const delta = offset - this.#mean;
    this.#mean += delta / count;
    this.#m2 += delta * (offset - this.#mean);
    if (this.#values.length === maxExactValues) this.#digestValues();
    this.#values.push(value);
  }

  #copyDigested(other: Fold): void {
    this.#count = other.#count;
    this.#sum = other.#sum;
    this.#lost = other.#lost;
    this.#min = other.#min;
    this.#max = other.#max;
    this.#base = other.#base;
    this.#mean = other.#mean;
    this.#m2 = other.#m2;
    this.#digest = other.#digest;
    this.#values = other.#values.slice();
  }

  #mergeMoments(other: Fold): void {
    const count = this.#count + other.#count;
    const delta = other.#base - this.#base + (other.#mean - this.#mean);
    this.#m2 += other.#m2 + delta * delta * this.#count * (other.#count / count);
    this.#mean += delta * (other.#count / count);
    this.#count = count;
    this.#addToSum(other.#sum);
    this.#addToSum(other.#lost);
    this.#min = Math.min(this.#min, other.#min);
    this.#max = Math.max(this.#max, other.#max);
  }

  #addToSum(value: number): void {
    const sum = this.#sum + value;
    this.#lost += Math.abs(this.#sum) >= Math.abs(value) ? this.#sum - sum + value : value - sum + this.#sum;
    this.#sum = sum;
  }

  #digestValues(): void {
    this.#digest = withValues(this.#digest, this.#values);
    this.#values = [];
  }

  /** The digest of all values. */
  #whole(): Digest {
    return this.#digest !== null && this.#values.length === 0 ? this.#digest : withValues(this.#digest, this.#values);
  }

  #percentiles(): (q: number) => number {
    if (this.#digest !== null) {
      const digest = this.#whole();
      return (q) => quantile(digest, q, this.#min, this.#max);
    }
    const sorted = Float64Array.from(this.#values).sort();
    return (q) => {
      const rank = q * (sorted.length - 1);
      const below = Math.floor(rank);
      const value = sorted[below]!;
      return below + 1 < sorted.length ? value + (sorted[below + 1]! - value) * (rank - below) : value;
    };
  }

  /** `originUs`: a time before all of its values, which makes it shorter. */
  save(to: StateWriter, originUs = 0): void {
    to.uint(this.#count);
    if (this.#count === 0) return;
    to.uint(this.#firstUs - originUs);
    to.uint(this.#lastUs - this.#firstUs);
    if (this.#digest === null) {
      // All else follows from the values.
      writeValues(to, this.#values);
      to.uint(this.#values.findIndex((value) => Object.is(value, this.#first)));
      to.uint(this.#values.findLastIndex((value) => Object.is(value, this.#last)));
      return;
    }
    for (const part of [this.#first, this.#last, this.#sum, this.#lost, this.#min, this.#max]) to.double(part);
    for (const part of [this.#base, this.#mean, this.#m2]) to.double(part);
    saveDigest(to, this.#digest);
    writeValues(to, this.#values);
  }

  /** Takes over what `save` wrote; only into an empty one. */
  load(from: StateReader, originUs = 0): void {
    const count = from.uint();
    if (count === 0) return;
    this.#firstUs = originUs + from.uint();
    this.#lastUs = this.#firstUs + from.uint();
    if (count <= maxExactValues) {
      for (const value of readValues(from)) this.#take(value);
      this.#first = this.#values[from.uint()]!;
      this.#last = this.#values[from.uint()]!;
      return;
    }
    this.#count = count;
    this.#first = from.double();
    this.#last = from.double();
    this.#sum = from.double();
    this.#lost = from.double();
    this.#min = from.double();
    this.#max = from.double();
    this.#base = from.double();
    this.#mean = from.double();
    this.#m2 = from.double();
    this.#digest = loadDigest(from);
    this.#values = readValues(from);
  }
}
