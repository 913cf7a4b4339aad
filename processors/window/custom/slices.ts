/** The slices of one device that hold a reading, each field by itself. */
import type { StateReader, StateWriter } from '../../codec.ts';
import { customSeries, maxFieldsPerDevice, type SlicedEntry } from './entry.ts';
import { FieldSlices } from './field-slices.ts';

export interface Slice {
  readonly startUs: number;
  readonly endUs: number;
}

export class Slices {
  readonly #entry: SlicedEntry;
  readonly #site: string;
  readonly #device: string;
  /** Of slices in which any field has a reading, rising. */
  readonly #starts: number[] = [];
  readonly #fields = new Map<string, FieldSlices>();
  /** The one that was asked for last. */
  #slice: Slice = { startUs: 0, endUs: 0 };

  constructor(entry: SlicedEntry, site: string, device: string) {
    this.#entry = entry;
    this.#site = site;
    this.#device = device;
  }

  starts(): readonly number[] {
    return this.#starts;
  }

  sliceAt(timeUs: number): Slice {
    if (timeUs < this.#slice.startUs || timeUs >= this.#slice.endUs) {
      const startUs = this.#entry.grid.startUs(timeUs);
      this.#slice = { startUs, endUs: this.#entry.grid.endUs(startUs) };
    }
    return this.#slice;
  }

  /** Whether the value was taken: at the bound of fields it is not. */
  add(slice: Slice, field: string, value: number, timeUs: number): boolean {
    let slices = this.#fields.get(field);
    if (slices === undefined) {
      if (this.#fields.size >= maxFieldsPerDevice) return false;
      slices = this.#addField(field);
    }
    slices.add(slice.startUs, value, timeUs);
    return true;
  }

  /** Whether there was none with a reading yet. */
  open({ startUs }: Slice): boolean {
    let at = this.#starts.length;
    while (at > 0 && this.#starts[at - 1]! > startUs) at--;
    if (this.#starts[at - 1] === startUs) return false;
    this.#starts.splice(at, 0, startUs);
    return true;
  }

  fields(): Iterable<[field: string, slices: FieldSlices]> {
    return this.#fields;
  }

  /** Drops all slices before the first that is kept. */
  dropUntil(isKept: (startUs: number) => boolean): void {
    const kept = this.#starts.findIndex(isKept);
    if (kept === 0) return;
    this.#starts.splice(0, kept === -1 ? this.#starts.length : kept);
    const fromUs = this.#starts[0] ?? Number.POSITIVE_INFINITY;
    for (const [field, slices] of this.#fields) {
      slices.dropBefore(fromUs);
      if (slices.isEmpty) this.#fields.delete(field);
    }
  }

  /** No reading before `horizonUs` will come any more; before it was `formerUs`. */
  settle(horizonUs: number, formerUs: number): void {
    if (!this.#entry.plan.counter) return;
    const fromUs = formerUs === Number.NEGATIVE_INFINITY ? formerUs : this.#entry.grid.startUs(formerUs);
    for (const slices of this.#fields.values()) slices.settle(horizonUs, fromUs);
  }

  #addField(field: string): FieldSlices {
    const series = customSeries(this.#entry.name, this.#site, this.#device, field);
    const slices = new FieldSlices(series, this.#entry.plan);
    this.#fields.set(field, slices);
    return slices;
  }

  save(to: StateWriter): void {
    to.uint(this.#fields.size);
    for (const [field, slices] of this.#fields) {
      to.text(field);
      slices.save(to);
    }
  }

  load(from: StateReader): void {
    for (let fields = from.uint(); fields > 0; fields--) {
      const slices = this.#addField(from.text());
      slices.load(from);
      for (const startUs of slices.starts()) this.open({ startUs, endUs: startUs });
    }
  }
}
