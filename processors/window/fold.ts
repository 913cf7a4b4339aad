/**
 * What is kept of the values of one field in one window: enough for every field of a rollup, and mergeable, so that
 * shorter windows make longer ones.
 */
import type { StateReader, StateWriter } from '../codec.ts';
import { type Centroids, noCentroids, quantile, withCentroids, withValues } from './tdigest.ts';

/** Percentiles are exact up to so many values. */
export const maxExactValues = 512;

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
  /** Welford's mean and sum of squared distances from it. */
  #mean = 0;
  #m2 = 0;
  #firstUs = Number.POSITIVE_INFINITY;
  #first = 0;
  #lastUs = Number.NEGATIVE_INFINITY;
  #last = 0;
  /** Values not yet in the digest: all of them while there is none. */
  #values: number[] = [];
  #digest: Centroids | null = null;

  add(value: number, timeUs: number): void {
    const count = ++this.#count;
    this.#addToSum(value);
    if (value < this.#min) this.#min = value;
    if (value > this.#max) this.#max = value;
    const delta = value - this.#mean;
    this.#mean += delta / count;
    this.#m2 += delta * (value - this.#mean);
    if (timeUs < this.#firstUs) {
      this.#firstUs = timeUs;
      this.#first = value;
    }
    if (timeUs >= this.#lastUs) {
      this.#lastUs = timeUs;
      this.#last = value;
    }
    if (this.#values.length === maxExactValues) this.#digestValues();
    this.#values.push(value);
  }

  /** Takes over what another fold holds, whose values came after this one's. */
  merge(other: Fold): void {
    if (other.#count === 0) return;
    const count = this.#count + other.#count;
    const delta = other.#mean - this.#mean;
    this.#m2 += other.#m2 + (delta * delta * this.#count * other.#count) / count;
    this.#mean += (delta * other.#count) / count;
    this.#count = count;
    this.#addToSum(other.#sum);
    this.#addToSum(other.#lost);
    this.#min = Math.min(this.#min, other.#min);
    this.#max = Math.max(this.#max, other.#max);
    if (other.#firstUs < this.#firstUs) [this.#firstUs, this.#first] = [other.#firstUs, other.#first];
    if (other.#lastUs >= this.#lastUs) [this.#lastUs, this.#last] = [other.#lastUs, other.#last];
    if (other.#digest !== null) this.#digest = withCentroids(this.#digest ?? noCentroids, other.#digest);
    for (const value of other.#values) {
      if (this.#values.length === maxExactValues) this.#digestValues();
      this.#values.push(value);
    }
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
      stddev: this.#count === 1 ? 0 : Math.sqrt(Math.max(0, this.#m2) / (this.#count - 1)),
      first: this.#first,
      last: this.#last,
      p50: percentile(0.5),
      p95: percentile(0.95),
      p99: percentile(0.99),
    };
  }

  #addToSum(value: number): void {
    const sum = this.#sum + value;
    this.#lost += Math.abs(this.#sum) >= Math.abs(value) ? this.#sum - sum + value : value - sum + this.#sum;
    this.#sum = sum;
  }

  #digestValues(): void {
    this.#digest = withValues(this.#digest ?? noCentroids, this.#values);
    this.#values = [];
  }

  #percentiles(): (q: number) => number {
    if (this.#digest !== null) {
      const digest = withValues(this.#digest, this.#values);
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

  save(to: StateWriter): void {
    to.uint(this.#count);
    for (const part of [this.#sum, this.#lost, this.#min, this.#max, this.#mean, this.#m2]) to.double(part);
    for (const part of [this.#firstUs, this.#first, this.#lastUs, this.#last]) to.double(part);
    to.doubles(this.#values);
    to.doubles(this.#digest?.means ?? []);
    to.doubles(this.#digest?.weights ?? []);
  }

  load(from: StateReader): void {
    this.#count = from.uint();
    this.#sum = from.double();
    this.#lost = from.double();
    this.#min = from.double();
    this.#max = from.double();
    this.#mean = from.double();
    this.#m2 = from.double();
    this.#firstUs = from.double();
    this.#first = from.double();
    this.#lastUs = from.double();
    this.#last = from.double();
    this.#values = from.doubles();
    const means = from.doubles();
    const weights = from.doubles();
    this.#digest = means.length > 0 ? { means, weights } : null;
  }
}
