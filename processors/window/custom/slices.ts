/**
 * The slices of one device that hold a reading, and what several of them hold together. A window may be of 1,440 slices:
 * so slices are merged in runs of four, these in runs of four, and so on, and a window is put together of some twenty
 * runs. A run is kept until one of its slices changes; what it holds follows from its slices alone, whenever it is made.
 */
import type { Series } from '../../../store/port.ts';
import type { StateReader, StateWriter } from '../../codec.ts';
import { customSeries, maxFieldsPerWindow, type SlicedEntry } from './entry.ts';
import { SliceTotals, Totals } from './totals.ts';

const runLength = 4;

interface Cell {
  readonly series: Series;
  readonly values: SliceTotals;
}

export interface Slice {
  readonly startUs: number;
  readonly endUs: number;
  readonly cells: Map<string, Cell>;
}

/** By field, in the order of the slices, and in each in the order of its first value. */
type ByField = ReadonlyMap<string, { readonly series: Series; readonly totals: Totals }>;

export class Slices {
  readonly #entry: SlicedEntry;
  readonly #site: string;
  readonly #device: string;
  /** By rising start. */
  readonly #slices: Slice[] = [];
  /** By length, then by start. */
  readonly #runs = new Map<number, Map<number, ByField>>();
  /** No run that is kept ends after it. */
  #runsUntilUs = Number.NEGATIVE_INFINITY;

  constructor(entry: SlicedEntry, site: string, device: string) {
    this.#entry = entry;
    this.#site = site;
    this.#device = device;
  }

  [Symbol.iterator](): Iterator<Slice> {
    return this.#slices[Symbol.iterator]();
  }

  /** The slice of a reading that is about to be added. It has no cells when there was none. */
  open(timeUs: number): Slice {
    if (timeUs < this.#runsUntilUs) this.#forgetRunsOf(timeUs);
    for (let i = this.#slices.length - 1; i >= 0; i--) {
      const slice = this.#slices[i]!;
      if (slice.endUs <= timeUs) return this.#insert(i + 1, timeUs);
      if (slice.startUs <= timeUs) return slice;
    }
    return this.#insert(0, timeUs);
  }

  add(slice: Slice, field: string, value: number, timeUs: number): void {
    let cell = slice.cells.get(field);
    if (cell === undefined) {
      if (slice.cells.size >= maxFieldsPerWindow) return;
      cell = this.#addCell(slice, field);
    }
    cell.values.add(value, timeUs);
  }

  /** What a window holds. To be read at once, and not to be changed. */
  within(startUs: number, endUs: number): ByField {
    const sliceUs = this.#entry.grid.endUs(startUs) - startUs;
    const parts: ByField[] = [];
    for (let at = startUs; at < endUs; ) {
      let lengthUs = sliceUs;
      while (at % (lengthUs * runLength) === 0 && at + lengthUs * runLength <= endUs) lengthUs *= runLength;
      this.#addRun(parts, at, lengthUs, sliceUs);
      at += lengthUs;
    }
    return this.#merged(parts);
  }

  /** Drops all slices before one. */
  dropUntil(isKept: (slice: Slice) => boolean): void {
    const kept = this.#slices.findIndex(isKept);
    if (kept === 0) return;
    this.#slices.splice(0, kept === -1 ? this.#slices.length : kept);
    const fromUs = this.#slices[0]?.startUs ?? Number.POSITIVE_INFINITY;
    for (const runs of this.#runs.values()) {
      for (const startUs of runs.keys()) if (startUs < fromUs) runs.delete(startUs);
    }
  }

  /** No reading before `horizonUs` will come any more; before it was `formerUs`. */
  settle(horizonUs: number, formerUs: number): void {
    if (!this.#entry.plan.counter) return;
    for (let i = this.#slices.length - 1; i >= 0 && this.#slices[i]!.endUs > formerUs; i--) {
      for (const { values } of this.#slices[i]!.cells.values()) values.settle(horizonUs);
    }
  }

  #addRun(parts: ByField[], startUs: number, lengthUs: number, sliceUs: number): void {
    const slice = this.#slices[this.#firstFrom(startUs)];
    if (slice === undefined || slice.startUs >= startUs + lengthUs) return;
    parts.push(lengthUs === sliceUs ? totalsOf(slice) : this.#run(startUs, lengthUs, sliceUs));
  }

  #run(startUs: number, lengthUs: number, sliceUs: number): ByField {
    let runs = this.#runs.get(lengthUs);
    if (runs === undefined) {
      runs = new Map();
      this.#runs.set(lengthUs, runs);
    }
    let run = runs.get(startUs);
    if (run === undefined) {
      const parts: ByField[] = [];
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

  #merged(parts: readonly ByField[]): ByField {
    if (parts.length === 1) return parts[0]!;
    const whole = new Map<string, { readonly series: Series; readonly totals: Totals }>();
    for (const part of parts) {
      for (const [field, { series, totals }] of part) {
        let known = whole.get(field);
        if (known === undefined) {
          known = { series, totals: new Totals(this.#entry.plan) };
          whole.set(field, known);
        }
        known.totals.merge(totals);
      }
    }
    return whole;
  }

  /** Index of the first slice that begins at or after a time. */
  #firstFrom(timeUs: number): number {
    let low = 0;
    let high = this.#slices.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#slices[middle]!.startUs < timeUs) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #insert(at: number, timeUs: number): Slice {
    const { grid } = this.#entry;
    const startUs = grid.startUs(timeUs);
    const slice = { startUs, endUs: grid.endUs(startUs), cells: new Map() };
    this.#slices.splice(at, 0, slice);
    return slice;
  }

  #addCell(slice: Slice, field: string): Cell {
    const cell = { series: this.#seriesOf(field), values: new SliceTotals(this.#entry.plan) };
    slice.cells.set(field, cell);
    return cell;
  }

  /** One object per series for as long as some slice knows the field: the store caches by it. */
  #seriesOf(field: string): Series {
    for (let i = this.#slices.length - 1; i >= 0; i--) {
      const known = this.#slices[i]!.cells.get(field);
      if (known !== undefined) return known.series;
    }
    return customSeries(this.#entry.name, this.#site, this.#device, field);
  }

  save(to: StateWriter): void {
    to.uint(this.#slices.length);
    for (const { startUs, cells } of this.#slices) {
      to.uint(startUs);
      to.uint(cells.size);
      for (const [field, { values }] of cells) {
        to.text(field);
        values.save(to);
      }
    }
  }

  load(from: StateReader): void {
    for (let slices = from.uint(); slices > 0; slices--) {
      const slice = this.#insert(this.#slices.length, from.uint());
      for (let cells = from.uint(); cells > 0; cells--) this.#addCell(slice, from.text()).values.load(from);
    }
  }
}

function totalsOf({ cells }: Slice): ByField {
  return new Map([...cells].map(([field, { series, values }]) => [field, { series, totals: values.totals() }]));
}
