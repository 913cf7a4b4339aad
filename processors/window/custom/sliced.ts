/**
 * Tumbling and hopping windows of one device, cut from shared slices: a hopping window is put together of its slices
 * when it is written, a tumbling one is a single slice. A reading enters one slice, however many windows hold it.
 *
 * As of a minute, a window is final once the watermark has passed its end, and settled once the horizon has.
 */
import type { Fields, Reading } from '../../../core/reading.ts';
import type { Series } from '../../../store/port.ts';
import type { StateReader, StateWriter } from '../../codec.ts';
import type { Emit, Windower } from '../windower.ts';
import { customSeries, maxFieldsPerWindow } from './entry.ts';
import type { FieldFilter } from './field-filter.ts';
import type { Grid } from './grid.ts';
import { type Plan, SliceTotals, Totals } from './totals.ts';

export interface SlicedEntry {
  readonly name: string;
  readonly filter: FieldFilter;
  readonly plan: Plan;
  /** Of slices. */
  readonly grid: Grid;
  /** From the start of a window to the start of its last slice: 0 for tumbling windows. */
  readonly spanUs: number;
}

interface Cell {
  readonly series: Series;
  readonly values: SliceTotals;
}

interface Slice {
  readonly startUs: number;
  readonly endUs: number;
  readonly cells: Map<string, Cell>;
}

/** What was written of a window. One that is neither written nor settled needs no more than its slices. */
interface Written {
  readonly endUs: number;
  /** Closed by silence, and no reading came since. */
  provisional: boolean;
  /** Of the next point, by field. */
  readonly revisions: Map<string, number>;
}

export class SlicedWindows implements Windower {
  readonly #entry: SlicedEntry;
  readonly #site: string;
  readonly #device: string;
  readonly #emit: Emit;
  /** By rising start; those that hold a reading. */
  readonly #slices: Slice[] = [];
  /** By start of the window. */
  readonly #written = new Map<number, Written>();
  /** Windows that end by then are final. */
  #closedUs = Number.NEGATIVE_INFINITY;
  /** Windows that end by then are settled. */
  #settledUs = Number.NEGATIVE_INFINITY;
  /** No window has to be closed before the watermark, or silence, is there. */
  #nextCloseUs = Number.POSITIVE_INFINITY;
  #nextSilentUs = Number.POSITIVE_INFINITY;
  /** No provisional window ends after it. */
  #provisionalUntilUs = Number.NEGATIVE_INFINITY;

  constructor(entry: SlicedEntry, site: string, device: string, emit: Emit) {
    this.#entry = entry;
    this.#site = site;
    this.#device = device;
    this.#emit = emit;
  }

  add({ fields, timeUs }: Reading, watermarkUs: number): void {
    const { filter } = this.#entry;
    let slice: Slice | null = null;
    for (const name in fields) {
      const value = fields[name];
      if (typeof value !== 'number' || !filter.matches(name)) continue;
      slice ??= this.#sliceAt(timeUs);
      (slice.cells.get(name) ?? this.#addCell(slice, name))?.values.add(value, timeUs);
    }
    if (slice === null) return;
    if (slice.endUs <= watermarkUs) this.#correct(slice, fields, watermarkUs);
    if (timeUs < this.#provisionalUntilUs) this.#reopen(timeUs);
  }

  advance(watermarkUs: number, horizonUs: number): void {
    if (watermarkUs >= this.#nextCloseUs) {
      this.#closeFinally(watermarkUs);
      this.#nextCloseUs = this.#firstEndAfter(watermarkUs);
      this.#nextSilentUs = Math.max(this.#nextSilentUs, this.#nextCloseUs);
    }
    this.#closedUs = watermarkUs;
    const settledUs = Math.min(watermarkUs, horizonUs);
    if (settledUs > this.#settledUs) this.#settle(settledUs, horizonUs);
  }

  closeProvisionally(untilUs: number): void {
    if (untilUs < this.#nextSilentUs) return;
    for (const startUs of this.#windows(this.#closedUs, untilUs)) {
      if (this.#written.get(startUs)?.provisional !== true) this.#write(startUs, false, null);
    }
    this.#nextSilentUs = this.#firstEndAfter(Math.max(untilUs, this.#closedUs));
    this.#provisionalUntilUs = Math.max(this.#provisionalUntilUs, untilUs);
  }

  finalise(): void {
    this.#closeFinally(Number.POSITIVE_INFINITY);
    this.#closedUs = Number.POSITIVE_INFINITY;
    this.#nextCloseUs = Number.POSITIVE_INFINITY;
    this.#nextSilentUs = Number.POSITIVE_INFINITY;
  }

  #closeFinally(untilUs: number): void {
    for (const startUs of this.#windows(this.#closedUs, untilUs)) this.#write(startUs, true, null);
  }

  /** Starts of the windows that hold a reading and end after `afterUs`, by `untilUs`, in order. */
  *#windows(afterUs: number, untilUs: number): Generator<number> {
    const { grid, spanUs } = this.#entry;
    let nextUs = afterUs === Number.NEGATIVE_INFINITY ? afterUs : grid.startUs(afterUs) - spanUs;
    for (const slice of this.#slices) {
      for (nextUs = Math.max(nextUs, slice.startUs - spanUs); nextUs <= slice.startUs; nextUs = grid.endUs(nextUs)) {
        if (this.#endUs(nextUs) > untilUs) return;
        yield nextUs;
      }
    }
  }

  #firstEndAfter(timeUs: number): number {
    const first = this.#windows(timeUs, Number.POSITIVE_INFINITY).next();
    return first.done ? Number.POSITIVE_INFINITY : this.#endUs(first.value);
  }

  #endUs(windowStartUs: number): number {
    const { grid, spanUs } = this.#entry;
    return grid.endUs(windowStartUs + spanUs);
  }

  /** A reading came into windows that are final: the fields it has are written again at once. */
  #correct(slice: Slice, fields: Fields, watermarkUs: number): void {
    const { grid, spanUs } = this.#entry;
    for (let startUs = slice.startUs - spanUs; startUs <= slice.startUs; startUs = grid.endUs(startUs)) {
      if (this.#endUs(startUs) > watermarkUs) return;
      this.#write(startUs, true, fields);
    }
  }

  #reopen(timeUs: number): void {
    for (const [startUs, window] of this.#written) {
      if (!window.provisional || startUs > timeUs || window.endUs <= timeUs) continue;
      window.provisional = false;
      this.#nextSilentUs = Math.min(this.#nextSilentUs, window.endUs);
    }
  }

  /** Drops windows that nothing can correct any more, and slices that no other window needs. */
  #settle(settledUs: number, horizonUs: number): void {
    for (const [startUs, { endUs }] of this.#written) if (endUs <= settledUs) this.#written.delete(startUs);
    let dropped = 0;
    while (dropped < this.#slices.length && this.#endUs(this.#slices[dropped]!.startUs) <= settledUs) dropped++;
    if (dropped > 0) this.#slices.splice(0, dropped);
    if (this.#entry.plan.counter) this.#settleCounters(horizonUs);
    this.#settledUs = settledUs;
  }

  #settleCounters(horizonUs: number): void {
    for (let i = this.#slices.length - 1; i >= 0 && this.#slices[i]!.endUs > this.#settledUs; i--) {
      for (const { values } of this.#slices[i]!.cells.values()) values.settle(horizonUs);
    }
  }

  #sliceAt(timeUs: number): Slice {
    for (let i = this.#slices.length - 1; i >= 0; i--) {
      const slice = this.#slices[i]!;
      if (slice.endUs <= timeUs) return this.#insertSlice(i + 1, timeUs);
      if (slice.startUs <= timeUs) return slice;
    }
    return this.#insertSlice(0, timeUs);
  }

  #insertSlice(at: number, timeUs: number): Slice {
    const { grid } = this.#entry;
    const startUs = grid.startUs(timeUs);
    const slice = { startUs, endUs: grid.endUs(startUs), cells: new Map() };
    this.#slices.splice(at, 0, slice);
    this.#nextCloseUs = Math.min(this.#nextCloseUs, slice.endUs);
    this.#nextSilentUs = Math.min(this.#nextSilentUs, slice.endUs);
    return slice;
  }

  /** `undefined` at the bound of fields. */
  #addCell(slice: Slice, field: string): Cell | undefined {
    if (slice.cells.size >= maxFieldsPerWindow) return undefined;
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

  /** Writes the fields of a window, or of them those that a reading has. */
  #write(startUs: number, final: boolean, only: Fields | null): void {
    const window = this.#writtenAt(startUs);
    window.provisional = !final;
    for (const [field, { series, totals }] of this.#totalsOf(startUs, window.endUs, only)) {
      const revision = window.revisions.get(field) ?? 0;
      window.revisions.set(field, revision + 1);
      this.#emit({ series, fields: { ...totals.fields(), revision, final }, timeUs: startUs, k: 0 });
    }
  }

  #writtenAt(startUs: number): Written {
    let window = this.#written.get(startUs);
    if (window === undefined) {
      window = { endUs: this.#endUs(startUs), provisional: false, revisions: new Map() };
      this.#written.set(startUs, window);
    }
    return window;
  }

  #totalsOf(startUs: number, endUs: number, only: Fields | null): Map<string, { series: Series; totals: Totals }> {
    const byField = new Map<string, { series: Series; totals: Totals }>();
    for (const slice of this.#slices) {
      if (slice.startUs < startUs) continue;
      if (slice.startUs >= endUs) break;
      for (const [field, { series, values }] of slice.cells) {
        if (only !== null && typeof only[field] !== 'number') continue;
        const known = byField.get(field);
        if (known !== undefined) known.totals.merge(values.totals());
        else byField.set(field, { series, totals: this.#startOf(values) });
      }
    }
    return byField;
  }

  /** Totals of a window's first slice: a copy where more are to be merged into it. */
  #startOf(values: SliceTotals): Totals {
    if (this.#entry.spanUs === 0) return values.totals();
    const totals = new Totals(this.#entry.plan);
    totals.merge(values.totals());
    return totals;
  }

  save(to: StateWriter): void {
    to.double(this.#closedUs);
    to.uint(this.#slices.length);
    for (const { startUs, cells } of this.#slices) {
      to.uint(startUs);
      to.uint(cells.size);
      for (const [field, { values }] of cells) {
        to.text(field);
        values.save(to);
      }
    }
    to.uint(this.#written.size);
    for (const [startUs, { provisional, revisions }] of this.#written) {
      to.uint(startUs);
      to.uint(provisional ? 1 : 0);
      to.uint(revisions.size);
      for (const [field, revision] of revisions) {
        to.text(field);
        to.uint(revision);
      }
    }
  }

  load(from: StateReader): void {
    this.#closedUs = from.double();
    for (let slices = from.uint(); slices > 0; slices--) {
      const slice = this.#insertSlice(this.#slices.length, from.uint());
      for (let cells = from.uint(); cells > 0; cells--) {
        const field = from.text();
        const cell = { series: this.#seriesOf(field), values: new SliceTotals(this.#entry.plan) };
        slice.cells.set(field, cell);
        cell.values.load(from);
      }
    }
    for (let windows = from.uint(); windows > 0; windows--) {
      const window = this.#writtenAt(from.uint());
      window.provisional = from.uint() === 1;
      if (window.provisional) this.#provisionalUntilUs = Math.max(this.#provisionalUntilUs, window.endUs);
      for (let fields = from.uint(); fields > 0; fields--) window.revisions.set(from.text(), from.uint());
    }
    this.#nextCloseUs = this.#firstEndAfter(this.#closedUs);
    this.#nextSilentUs = this.#nextCloseUs;
  }
}
