/**
 * Tumbling and hopping windows of one device, cut from shared slices: a hopping window is put together of its slices
 * when it is written, a tumbling one is a single slice. A reading enters one slice, however many windows hold it.
 *
 * As of a minute, a window is final once the watermark has passed its end, and settled once the horizon has.
 */
import type { Fields, Reading } from '../../../core/reading.ts';
import type { StateReader, StateWriter } from '../../codec.ts';
import type { Emit, Windower } from '../windower.ts';
import type { SlicedEntry } from './entry.ts';
import { type Slice, Slices } from './slices.ts';

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
  readonly #emit: Emit;
  readonly #slices: Slices;
  /** By start of the window. */
  readonly #written = new Map<number, Written>();
  /** The watermark: windows that end by then are final. An entry may be new where the device is not. */
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
    this.#emit = emit;
    this.#slices = new Slices(entry, site, device);
  }

  add({ fields, timeUs }: Reading, watermarkUs: number): void {
    const { filter } = this.#entry;
    this.#closedUs = watermarkUs;
    const slice = this.#slices.sliceAt(timeUs);
    let isTaken = false;
    for (const name in fields) {
      const value = fields[name];
      if (typeof value !== 'number' || !filter.matches(name)) continue;
      if (this.#slices.add(slice, name, value, timeUs)) isTaken = true;
    }
    if (!isTaken) return;
    if (this.#slices.open(slice)) this.#expect(slice);
    if (slice.endUs <= watermarkUs) this.#correct(slice, fields);
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
    for (const lastUs of this.#slices.starts()) {
      for (nextUs = Math.max(nextUs, lastUs - spanUs); nextUs <= lastUs; nextUs = grid.endUs(nextUs)) {
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
  #correct(slice: Slice, fields: Fields): void {
    const { grid, spanUs } = this.#entry;
    for (let startUs = slice.startUs - spanUs; startUs <= slice.startUs; startUs = grid.endUs(startUs)) {
      if (this.#endUs(startUs) > this.#closedUs) return;
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
    this.#slices.dropUntil((startUs) => this.#endUs(startUs) > settledUs);
    this.#slices.settle(horizonUs, this.#settledUs);
    this.#settledUs = settledUs;
  }

  #expect({ endUs }: Slice): void {
    this.#nextCloseUs = Math.min(this.#nextCloseUs, endUs);
    this.#nextSilentUs = Math.min(this.#nextSilentUs, endUs);
  }

  /** Writes the fields of a window, or of them those that a reading has. */
  #write(startUs: number, final: boolean, only: Fields | null): void {
    const window = this.#writtenAt(startUs);
    window.provisional = !final;
    const sliceUs = this.#entry.grid.endUs(startUs) - startUs;
    for (const [field, slices] of this.#slices.fields()) {
      if (only !== null && typeof only[field] !== 'number') continue;
      const totals = slices.within(startUs, window.endUs, sliceUs);
      if (totals === null) continue;
      const revision = window.revisions.get(field) ?? 0;
      window.revisions.set(field, revision + 1);
      this.#emit({ series: slices.series, fields: { ...totals.fields(), revision, final }, timeUs: startUs, k: 0 });
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

  save(to: StateWriter): void {
    to.double(this.#closedUs);
    this.#slices.save(to);
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
    this.#slices.load(from);
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
