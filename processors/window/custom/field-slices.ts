/**
 * The slices of one field of one device that hold a reading, and what several of them hold together. A window may be of
 * 1,440 slices: so slices are merged in runs of four, these in runs of four, and so on, and a window is put together of
 * some twenty runs. A run is kept until one of its slices changes; what it holds follows from its slices alone, whenever
 * it is made.
 */
import type { Series } from '../../../store/port.ts';
import type { StateReader, StateWriter } from '../../codec.ts';
import { type Plan, SliceTotals, Totals } from './totals.ts';

const runLength = 4;

export class FieldSlices {
  readonly series: Series;
  readonly #plan: Plan;
  /** Rising, with what each slice holds beside it. */
  readonly #starts: number[] = [];
  readonly #slices: SliceTotals[] = [];
  /** By length, then by start. */
  readonly #runs = new Map<number, Map<number, Totals>>();
  /** No run that is kept ends after it. */
  #runsUntilUs = Number.NEGATIVE_INFINITY;

  constructor(series: Series, plan: Plan) {
    this.series = series;
    this.#plan = plan;
  }

  get isEmpty(): boolean {
    return this.#starts.length === 0;
  }

  starts(): readonly number[] {
    return this.#starts;
  }

  add(sliceStartUs: number, value: number, timeUs: number): void {
    if (timeUs < this.#runsUntilUs) this.#forgetRunsOf(timeUs);
    this.#at(sliceStartUs).add(value, timeUs);
  }

  /** What it holds from one time to another, cut in slices of `sliceUs`. To be read at once, and not to be changed. */
  within(startUs: number, endUs: number, sliceUs: number): Totals | null {
    const parts: Totals[] = [];
    for (let at = startUs; at < endUs; ) {
      let lengthUs = sliceUs;
      while (at % (lengthUs * runLength) === 0 && at + lengthUs * runLength <= endUs) lengthUs *= runLength;
      this.#addRun(parts, at, lengthUs, sliceUs);
      at += lengthUs;
    }
    return parts.length === 0 ? null : this.#merged(parts);
  }

  dropBefore(timeUs: number): void {
    const dropped = this.#firstFrom(timeUs);
    if (dropped === 0) return;
    this.#starts.splice(0, dropped);
    this.#slices.splice(0, dropped);
    for (const runs of this.#runs.values()) {
      for (const startUs of runs.keys()) if (startUs < timeUs) runs.delete(startUs);
    }
  }

  /** No reading before `horizonUs` will come any more; slices that begin before `fromUs` were told already. */
  settle(horizonUs: number, fromUs: number): void {
    for (let i = this.#firstFrom(fromUs); i < this.#slices.length; i++) this.#slices[i]!.settle(horizonUs);
  }

  #at(startUs: number): SliceTotals {
    const newest = this.#starts.length - 1;
    if (this.#starts[newest] === startUs) return this.#slices[newest]!;
    const at = this.#firstFrom(startUs);
    if (this.#starts[at] === startUs) return this.#slices[at]!;
    const slice = new SliceTotals(this.#plan);
    this.#starts.splice(at, 0, startUs);
    this.#slices.splice(at, 0, slice);
    return slice;
  }

  #addRun(parts: Totals[], startUs: number, lengthUs: number, sliceUs: number): void {
    const at = this.#firstFrom(startUs);
    if (at === this.#starts.length || this.#starts[at]! >= startUs + lengthUs) return;
    parts.push(lengthUs === sliceUs ? this.#slices[at]!.totals() : this.#run(startUs, lengthUs, sliceUs));
  }

  #run(startUs: number, lengthUs: number, sliceUs: number): Totals {
    let runs = this.#runs.get(lengthUs);
    if (runs === undefined) {
      runs = new Map();
      this.#runs.set(lengthUs, runs);
    }
    let run = runs.get(startUs);
    if (run === undefined) {
      const parts: Totals[] = [];
      const partUs = lengthUs / runLength;
      for (let i = 0; i < runLength; i++) this.#addRun(parts, startUs + i * partUs, partUs, sliceUs);
      run = this.#merged(parts);
      runs.set(startUs, run);
      this.#runsUntilUs = Math.max(this.#runsUntilUs, startUs + lengthUs);
    }
    return run;
  }

  #forgetRunsOf(timeUs: number): void {
    for (const [lengthUs, runs] of this.#runs) runs.delete(Math.floor(timeUs / lengthUs) * lengthUs);
  }

  #merged(parts: readonly Totals[]): Totals {
    if (parts.length === 1) return parts[0]!;
    const whole = new Totals(this.#plan);
    for (const part of parts) whole.merge(part);
    return whole;
  }

  /** Index of the first slice that begins at or after a time. */
  #firstFrom(timeUs: number): number {
    let low = 0;
    let high = this.#starts.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#starts[middle]! < timeUs) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  save(to: StateWriter): void {
    to.uint(this.#starts.length);
    let before = 0;
    for (let i = 0; i < this.#starts.length; i++) {
      to.uint(this.#starts[i]! - before);
      this.#slices[i]!.save(to);
      before = this.#starts[i]!;
    }
  }

  load(from: StateReader): void {
    let startUs = 0;
    for (let left = from.uint(); left > 0; left--) {
      startUs += from.uint();
      this.#at(startUs).load(from);
    }
  }
}
