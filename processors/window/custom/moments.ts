/**
 * What is kept of values where no percentile is asked for: of one size however many they are. Mergeable.
 *
 * Sums are Neumaier's, mean and spread Welford's, of what values are above the first: an offset costs no digits. As in
 * `fold.ts`, which keeps values besides.
 */
import type { StateReader, StateWriter } from '../../codec.ts';
import type { Summary } from '../fold.ts';

export class Moments {
  #count = 0;
  #sum = 0;
  #lost = 0;
  #min = Number.POSITIVE_INFINITY;
  #max = Number.NEGATIVE_INFINITY;
  #base = 0;
  #mean = 0;
  #m2 = 0;
  #firstUs = Number.POSITIVE_INFINITY;
  #first = 0;
  #lastUs = Number.NEGATIVE_INFINITY;
  #last = 0;

  add(value: number, timeUs: number): void {
    const count = ++this.#count;
    if (count === 1) this.#base = value;
    this.#addToSum(value);
    if (value < this.#min) this.#min = value;
    if (value > this.#max) this.#max = value;
    const offset = value - this.#base;
    const delta = offset - this.#mean;
    this.#mean += delta / count;
    this.#m2 += delta * (offset - this.#mean);
    this.#seeEnds(timeUs, value, timeUs, value);
  }

  /** Takes over what another holds, whose values came after this one's. */
  merge(other: Moments): void {
    if (other.#count === 0) return;
    if (this.#count === 0) this.#base = other.#base;
    const count = this.#count + other.#count;
    const delta = other.#base - this.#base + (other.#mean - this.#mean);
    this.#m2 += other.#m2 + delta * delta * this.#count * (other.#count / count);
    this.#mean += delta * (other.#count / count);
    this.#count = count;
    this.#addToSum(other.#sum);
    this.#addToSum(other.#lost);
    this.#min = Math.min(this.#min, other.#min);
    this.#max = Math.max(this.#max, other.#max);
    this.#seeEnds(other.#firstUs, other.#first, other.#lastUs, other.#last);
  }

  /** Of at least one value. */
  summary(): Omit<Summary, 'p50' | 'p95' | 'p99'> {
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
    };
  }

  #addToSum(value: number): void {
    const sum = this.#sum + value;
    this.#lost += Math.abs(this.#sum) >= Math.abs(value) ? this.#sum - sum + value : value - sum + this.#sum;
    this.#sum = sum;
  }

  #seeEnds(firstUs: number, first: number, lastUs: number, last: number): void {
    if (firstUs < this.#firstUs) {
      this.#firstUs = firstUs;
      this.#first = first;
    }
    if (lastUs >= this.#lastUs) {
      this.#lastUs = lastUs;
      this.#last = last;
    }
  }

  save(to: StateWriter): void {
    to.uint(this.#count);
    if (this.#count === 0) return;
    for (const part of [this.#sum, this.#lost, this.#min, this.#max, this.#base, this.#mean, this.#m2]) to.double(part);
    to.uint(this.#firstUs);
    to.double(this.#first);
    to.uint(this.#lastUs - this.#firstUs);
    to.double(this.#last);
  }

  load(from: StateReader): void {
    this.#count = from.uint();
    if (this.#count === 0) return;
    this.#sum = from.double();
    this.#lost = from.double();
    this.#min = from.double();
    this.#max = from.double();
    this.#base = from.double();
    this.#mean = from.double();
    this.#m2 = from.double();
    this.#firstUs = from.uint();
    this.#first = from.double();
    this.#lastUs = this.#firstUs + from.uint();
    this.#last = from.double();
  }
}
