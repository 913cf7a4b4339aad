/** What is kept of values where no percentile is asked for: of one size however many they are. Mergeable. */
import type { StateReader, StateWriter } from '../../codec.ts';
import type { Summary } from '../fold.ts';
import { Moments } from '../moments.ts';

export class TimedMoments {
  readonly #moments = new Moments();
  #firstUs = Number.POSITIVE_INFINITY;
  #first = 0;
  #lastUs = Number.NEGATIVE_INFINITY;
  #last = 0;

  add(value: number, timeUs: number): void {
    this.#moments.add(value);
    this.#seeEnds(timeUs, value, timeUs, value);
  }

  /** Takes over what another holds, whose values came after this one's. */
  merge(other: TimedMoments): void {
    this.#moments.merge(other.#moments);
    this.#seeEnds(other.#firstUs, other.#first, other.#lastUs, other.#last);
  }

  /** Of at least one value. */
  summary(): Omit<Summary, 'p50' | 'p95' | 'p99'> {
    const { count, sum, min, max, stddev } = this.#moments;
    return { count, sum, min, max, mean: sum / count, stddev, first: this.#first, last: this.#last };
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
    this.#moments.save(to);
    if (this.#moments.count === 0) return;
    to.uint(this.#firstUs);
    to.double(this.#first);
    to.uint(this.#lastUs - this.#firstUs);
    to.double(this.#last);
  }

  load(from: StateReader): void {
    this.#moments.load(from);
    if (this.#moments.count === 0) return;
    this.#firstUs = from.uint();
    this.#first = from.double();
    this.#lastUs = this.#firstUs + from.uint();
    this.#last = from.double();
  }
}
