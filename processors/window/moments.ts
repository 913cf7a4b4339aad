/** Count, sum, ends and spread of values: numerically stable, and mergeable. */
import type { StateReader, StateWriter } from '../codec.ts';

export class Moments {
  count = 0;
  min = Number.POSITIVE_INFINITY;
  max = Number.NEGATIVE_INFINITY;
  /** Neumaier's sum: what rounding loses is kept beside it. */
  #sum = 0;
  #lost = 0;
  /** Welford's mean and sum of squared distances, of what the values are above the first: an offset costs no digits. */
  #base = 0;
  #mean = 0;
  #m2 = 0;

  get sum(): number {
    return this.#sum + this.#lost;
  }

  /** Of a sample (n − 1); 0 for one value. */
  get stddev(): number {
    return this.count < 2 ? 0 : Math.sqrt(this.#m2 / (this.count - 1));
  }

  add(value: number): void {
    if (this.count === 0) this.#base = value;
    this.#addToSum(value);
    if (value < this.min) this.min = value;
    if (value > this.max) this.max = value;
    const offset = value - this.#base;
    const delta = offset - this.#mean;
    this.#mean += delta / ++this.count;
    this.#m2 += delta * (offset - this.#mean);
  }

  addAll(values: readonly number[]): this {
    for (let i = 0; i < values.length; i++) this.add(values[i]!);
    return this;
  }

  /** Takes over what another holds. */
  merge(other: Moments): void {
    if (other.count === 0) return;
    if (this.count === 0) this.#base = other.#base;
    const count = this.count + other.count;
    const delta = other.#base - this.#base + (other.#mean - this.#mean);
    this.#m2 += other.#m2 + delta * delta * this.count * (other.count / count);
    this.#mean += delta * (other.count / count);
    this.count = count;
    this.#addToSum(other.#sum);
    this.#addToSum(other.#lost);
    this.min = Math.min(this.min, other.min);
    this.max = Math.max(this.max, other.max);
  }

  copy(): Moments {
    const copy = new Moments();
    copy.count = this.count;
    copy.min = this.min;
    copy.max = this.max;
    copy.#sum = this.#sum;
    copy.#lost = this.#lost;
    copy.#base = this.#base;
    copy.#mean = this.#mean;
    copy.#m2 = this.#m2;
    return copy;
  }

  #addToSum(value: number): void {
    const sum = this.#sum + value;
    this.#lost += Math.abs(this.#sum) >= Math.abs(value) ? this.#sum - sum + value : value - sum + this.#sum;
    this.#sum = sum;
  }

  save(to: StateWriter): void {
    to.uint(this.count);
    if (this.count === 0) return;
    for (const part of [this.min, this.max, this.#sum, this.#lost, this.#base, this.#mean, this.#m2]) to.double(part);
  }

  load(from: StateReader): this {
    this.count = from.uint();
    if (this.count === 0) return this;
    this.min = from.double();
    this.max = from.double();
    this.#sum = from.double();
    this.#lost = from.double();
    this.#base = from.double();
    this.#mean = from.double();
    this.#m2 = from.double();
    return this;
  }
}
