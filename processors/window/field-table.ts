/** The fields of one device, numbered in the order of their first number. */
import type { Reading } from '../../core/reading.ts';
import type { Series } from '../../store/port.ts';
import type { StateReader, StateWriter } from '../codec.ts';
import { maxFields as maxFieldsOfReading } from '../decode/json.ts';
import { rollupSeries } from '../points.ts';

/** At the bound a reading with another one is in no window (`too_many_fields`). */
export const maxFields = 1024;

export interface Field {
  readonly index: number;
  readonly name: string;
  /** Of its minutes. One object for as long as the field is known: the store caches by it. */
  readonly series: Series;
}

export class FieldTable {
  readonly #site: string;
  readonly #device: string;
  #byIndex: Field[] = [];
  #byName = new Map<string, Field>();

  constructor(site: string, device: string) {
    this.#site = site;
    this.#device = device;
  }

  get(name: string): Field | undefined {
    return this.#byName.get(name);
  }

  at(index: number): Field {
    return this.#byIndex[index]!;
  }

  add(name: string): Field {
    const series = rollupSeries('1m', this.#site, this.#device, name);
    const field = { index: this.#byIndex.length, name, series };
    this.#byIndex.push(field);
    this.#byName.set(name, field);
    return field;
  }

  /** Whether every number of the reading has a field, or room for one. */
  hasRoomFor(fields: Reading['fields']): boolean {
    const known = this.#byIndex.length;
    if (known + maxFieldsOfReading <= maxFields) return true;
    const isNew = (name: string) => typeof fields[name] === 'number' && !this.#byName.has(name);
    return known + Object.keys(fields).filter(isNew).length <= maxFields;
  }

  /** Forgets all other fields; returns the new index of each that stays, by its old one. */
  keep(isUsed: (index: number) => boolean): number[] {
    const moved: number[] = [];
    const kept = this.#byIndex.filter(({ index }) => isUsed(index));
    this.#byIndex = kept.map((field, index) => {
      moved[field.index] = index;
      return { ...field, index };
    });
    this.#byName = new Map(this.#byIndex.map((field) => [field.name, field]));
    return moved;
  }

  save(to: StateWriter): void {
    to.uint(this.#byIndex.length);
    for (const { name } of this.#byIndex) to.text(name);
  }

  load(from: StateReader): void {
    for (let left = from.uint(); left > 0; left--) this.add(from.text());
  }
}
