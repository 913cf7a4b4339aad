/**
 * How much a counter grew. A value below the one before it means that the counter was reset to 0 in between, and has
 * grown to this value since. Differences count between readings of the window alone, not across its start.
 */
import type { StateReader, StateWriter } from '../../codec.ts';
import { TimedValues } from './timed-values.ts';

/** Of readings that come in order of their time. Mergeable with what came after them. */
export class Increase {
  #count = 0;
  #firstUs = 0;
  #first = 0;
  #lastUs = 0;
  #last = 0;
  #total = 0;

  /** 0 for one reading. */
  get total(): number {
    return this.#total;
  }

  /** Per second between the first and the last reading; 0 when they have one time. */
  get perSecond(): number {
    const us = this.#lastUs - this.#firstUs;
    return us === 0 ? 0 : this.#total / (us / 1e6);
  }

  add(value: number, timeUs: number): void {
    if (this.#count++ === 0) {
      this.#firstUs = timeUs;
      this.#first = value;
    } else {
      this.#total += growth(this.#last, value);
    }
    this.#lastUs = timeUs;
    this.#last = value;
  }

  /** Takes over what another holds, whose readings are all later. */
  merge(later: Increase): void {
    if (later.#count === 0) return;
    if (this.#count === 0) {
      this.#firstUs = later.#firstUs;
      this.#first = later.#first;
    } else {
      this.#total += growth(this.#last, later.#first);
    }
    this.#count += later.#count;
    this.#lastUs = later.#lastUs;
    this.#last = later.#last;
    this.#total += later.#total;
  }

  save(to: StateWriter): void {
    to.uint(this.#count);
    for (const part of [this.#firstUs, this.#first, this.#lastUs, this.#last, this.#total]) to.double(part);
  }

  load(from: StateReader): void {
    this.#count = from.uint();
    this.#firstUs = from.double();
    this.#first = from.double();
    this.#lastUs = from.double();
    this.#last = from.double();
    this.#total = from.double();
  }
}

function growth(before: number, after: number): number {
  return after >= before ? after - before : after;
}

/** The same of readings in any order: those that another may still come before are kept one by one. */
export class CounterReadings {
  readonly #settled = new Increase();
  readonly #live = new TimedValues<number>();

  add(value: number, timeUs: number): void {
    this.#live.insert(timeUs, value);
  }

  /** No reading before `horizonUs` will come any more. */
  settle(horizonUs: number): void {
    this.#live.takeBefore(horizonUs, (timeUs, value) => this.#settled.add(value, timeUs));
  }

  /** Appends its readings, which must be later than those that `increase` has. */
  addTo(increase: Increase): void {
    increase.merge(this.#settled);
    for (let i = 0; i < this.#live.length; i++) increase.add(this.#live.valueAt(i), this.#live.timeAt(i));
  }

  save(to: StateWriter): void {
    this.#settled.save(to);
    this.#live.save(to, (value) => to.double(value));
  }

  load(from: StateReader): void {
    this.#settled.load(from);
    this.#live.load(from, () => from.double());
  }
}
