/**
 * What is kept of the values of one field in one window: enough for every field of a rollup, and mergeable, so that
 * shorter windows make longer ones.
 */
import type { StateReader, StateWriter } from '../codec.ts';
import { Moments } from './moments.ts';
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

/** What is kept of values that were too many to keep. */
interface Digested {
  readonly moments: Moments;
  readonly digest: Digest;
}

export class Fold {
  #firstUs = Number.POSITIVE_INFINITY;
  #first = 0;
  #lastUs = Number.NEGATIVE_INFINITY;
  #last = 0;
  /** The newest values, in the order in which they came. While there are few: all of them, and all else follows. */
  #values: number[] = [];
  /** Of the values before them. */
  #digested: Digested | null = null;

  get count(): number {
    return (this.#digested?.moments.count ?? 0) + this.#values.length;
  }

  add(value: number, timeUs: number): void {
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
    if (other.#digested !== null) this.#mergeDigested(other.#digested);
    const values = other.#values;
    for (let i = 0; i < values.length; i++) {
      if (this.#values.length === maxExactValues) this.#digestValues();
      this.#values.push(values[i]!);
    }
    if (this.#digested !== null && this.#values.length > maxValuesOfMerged) this.#digestValues();
  }

  /** Of at least one value. Changes nothing. */
  summary(): Summary {
    const moments = (this.#digested?.moments.copy() ?? new Moments()).addAll(this.#values);
    const { count, sum, min, max, stddev } = moments;
    const percentile = this.#percentiles(moments);
    return {
      count,
      sum,
      min,
      max,
      mean: sum / count,
      stddev,
      first: this.#first,
      last: this.#last,
      p50: percentile(0.5),
      p95: percentile(0.95),
      p99: percentile(0.99),
    };
  }

  #mergeDigested({ moments, digest }: Digested): void {
    if (this.#values.length > 0) this.#digestValues();
    if (this.#digested === null) {
      this.#digested = { moments: moments.copy(), digest };
    } else {
      this.#digested.moments.merge(moments);
      this.#digested = { moments: this.#digested.moments, digest: merged(this.#digested.digest, digest) };
    }
  }

  #digestValues(): void {
    const { moments = new Moments(), digest = null } = this.#digested ?? {};
    this.#digested = { moments: moments.addAll(this.#values), digest: withValues(digest, this.#values) };
    this.#values = [];
  }

  #percentiles({ min, max }: Moments): (q: number) => number {
    const values = this.#values;
    if (this.#digested !== null) {
      const { digest } = this.#digested;
      const whole = values.length === 0 ? digest : withValues(digest, values);
      return (q) => quantile(whole, q, min, max);
    }
    const sorted = new Float64Array(values).sort();
    return (q) => {
      const rank = q * (sorted.length - 1);
      const below = Math.floor(rank);
      const value = sorted[below]!;
      return below + 1 < sorted.length ? value + (sorted[below + 1]! - value) * (rank - below) : value;
    };
  }

  /** `originUs`: a time before all of its values, which makes it shorter. */
  save(to: StateWriter, originUs = 0): void {
    const { count } = this;
    to.uint(count);
    if (count === 0) return;
    to.uint(this.#firstUs - originUs);
    to.uint(this.#lastUs - this.#firstUs);
    writeValues(to, this.#values);
    if (this.#digested === null) {
      to.uint(this.#values.findIndex((value) => Object.is(value, this.#first)));
      to.uint(this.#values.findLastIndex((value) => Object.is(value, this.#last)));
    } else {
      to.double(this.#first);
      to.double(this.#last);
      this.#digested.moments.save(to);
      saveDigest(to, this.#digested.digest);
    }
  }

  /** Takes over what `save` wrote; only into an empty one. */
  load(from: StateReader, originUs = 0): void {
    const count = from.uint();
    if (count === 0) return;
    this.#firstUs = originUs + from.uint();
    this.#lastUs = this.#firstUs + from.uint();
    this.#values = readValues(from);
    if (this.#values.length === count) {
      this.#first = this.#values[from.uint()]!;
      this.#last = this.#values[from.uint()]!;
    } else {
      this.#first = from.double();
      this.#last = from.double();
      this.#digested = { moments: new Moments().load(from), digest: loadDigest(from) };
    }
  }
}
