/**
 * Values by event time, those of one time in order of arrival: what is kept of readings for as long as another may still
 * come between them. Its bound is that of the duplicates: readings that are kept for longer make earlier ones late.
 */
import type { StateReader, StateWriter } from '../../codec.ts';

export class TimedValues<Value> {
  readonly #times: number[] = [];
  readonly #values: Value[] = [];

  get length(): number {
    return this.#times.length;
  }

  timeAt(index: number): number {
    return this.#times[index]!;
  }

  valueAt(index: number): Value {
    return this.#values[index]!;
  }

  /** The newest one. */
  last(): Value | undefined {
    return this.#values[this.#values.length - 1];
  }

  /** Index of the first one at or after a time. */
  firstFrom(timeUs: number): number {
    let low = 0;
    let high = this.#times.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#times[middle]! < timeUs) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Returns its index. */
  insert(timeUs: number, value: Value): number {
    let at = this.#times.length;
    while (at > 0 && this.#times[at - 1]! > timeUs) at--;
    if (at === this.#times.length) {
      this.#times.push(timeUs);
      this.#values.push(value);
    } else {
      this.#times.splice(at, 0, timeUs);
      this.#values.splice(at, 0, value);
    }
    return at;
  }

  /** Hands over what lies before `timeUs`, in order, and forgets it. */
  takeBefore(timeUs: number, take: (timeUs: number, value: Value) => void): void {
    let taken = 0;
    for (; taken < this.#times.length && this.#times[taken]! < timeUs; taken++) {
      take(this.#times[taken]!, this.#values[taken]!);
    }
    if (taken === 0) return;
    this.#times.splice(0, taken);
    this.#values.splice(0, taken);
  }

  save(to: StateWriter, saveValue: (value: Value) => void): void {
    to.uint(this.#times.length);
    let before = 0;
    for (let i = 0; i < this.#times.length; i++) {
      to.uint(this.#times[i]! - before);
      saveValue(this.#values[i]!);
      before = this.#times[i]!;
    }
  }

  load(from: StateReader, loadValue: () => Value): void {
    let timeUs = 0;
    for (let left = from.uint(); left > 0; left--) {
      timeUs += from.uint();
      this.#times.push(timeUs);
      this.#values.push(loadValue());
    }
  }
}
