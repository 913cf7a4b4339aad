/**
 * The tumbling windows of one device, by event time. A window is `open`, closed `provisional`ly because the device is
 * silent (a later reading opens it again), or `final` once the watermark has passed its end: from then on a reading
 * corrects its rollup at once. It is kept until nothing can correct it any more.
 */
import type { Reading } from '../../core/reading.ts';
import type { Point, Series } from '../../store/port.ts';
import type { StateReader, StateWriter } from '../codec.ts';
import { rollupPoint, rollupSeries } from '../points.ts';
import { Fold } from './fold.ts';

export const windowUs = 60_000_000;

/** At the bound a reading with more fields is in no window (`too_many_fields`). */
export const maxFieldsPerWindow = 1024;

export function windowStartUs(timeUs: number): number {
  return Math.floor(timeUs / windowUs) * windowUs;
}

export type Windowed = 'windowed' | 'no_number' | 'too_many_fields';

const states = ['open', 'provisional', 'final'] as const;
type State = (typeof states)[number];

interface Cell {
  readonly series: Series;
  readonly fold: Fold;
  /** Of the next rollup. */
  revision: number;
}

interface Window {
  readonly startUs: number;
  readonly endUs: number;
  state: State;
  readonly cells: Map<string, Cell>;
}

export class DeviceWindows {
  readonly #site: string;
  readonly #device: string;
  readonly #emit: (rollup: Point) => void;
  /** By rising start; about a dozen. */
  #windows: Window[] = [];
  /** End of the first window that is not final: nothing happens before the watermark is there. */
  #nextCloseUs = Number.POSITIVE_INFINITY;

  constructor(site: string, device: string, emit: (rollup: Point) => void) {
    this.#site = site;
    this.#device = device;
    this.#emit = emit;
  }

  /** Takes a reading that is not late. */
  add(reading: Reading, watermarkUs: number): Windowed {
    const { fields, timeUs } = reading;
    let window: Window | null = null;
    for (const name in fields) {
      const value = fields[name];
      if (typeof value !== 'number') continue;
      if (window === null) {
        window = this.#windowAt(timeUs, watermarkUs);
        if (window.cells.size + maxNewFields(fields, window) > maxFieldsPerWindow) return 'too_many_fields';
      }
      const cell = window.cells.get(name) ?? this.#addCell(window, name);
      cell.fold.add(value, timeUs);
      if (window.state === 'final') this.#emitCell(window, cell);
    }
    if (window === null) return 'no_number';
    if (window.state === 'provisional') window.state = 'open';
    return 'windowed';
  }

  /** Closes what the watermark has passed and drops what nothing can correct any more. */
  advance(watermarkUs: number, horizonUs: number): void {
    if (watermarkUs >= this.#nextCloseUs) {
      for (const window of this.#windows) {
        if (window.endUs <= watermarkUs && window.state !== 'final') this.#close(window, 'final');
      }
      this.#findNextClose();
    }
    let dropped = 0;
    while (this.#isDone(this.#windows[dropped], horizonUs)) dropped++;
    if (dropped > 0) this.#windows.splice(0, dropped);
  }

  /** Closes what has been over by `untilUs`, but may still go on. */
  closeProvisionally(untilUs: number): void {
    if (untilUs < this.#nextCloseUs) return;
    for (const window of this.#windows) {
      if (window.endUs <= untilUs && window.state === 'open') this.#close(window, 'provisional');
    }
  }

  /** Closes everything for good. */
  finalise(): void {
    for (const window of this.#windows) if (window.state !== 'final') this.#close(window, 'final');
    this.#nextCloseUs = Number.POSITIVE_INFINITY;
  }

  #isDone(window: Window | undefined, horizonUs: number): boolean {
    return window !== undefined && window.state === 'final' && window.endUs <= horizonUs;
  }

  #windowAt(timeUs: number, watermarkUs: number): Window {
    for (let i = this.#windows.length - 1; i >= 0; i--) {
      const window = this.#windows[i]!;
      if (window.endUs <= timeUs) return this.#insert(i + 1, timeUs, watermarkUs);
      if (window.startUs <= timeUs) return window;
    }
    return this.#insert(0, timeUs, watermarkUs);
  }

  #insert(at: number, timeUs: number, watermarkUs: number): Window {
    const startUs = windowStartUs(timeUs);
    const endUs = startUs + windowUs;
    const state = endUs <= watermarkUs ? 'final' : 'open';
    const window: Window = { startUs, endUs, state, cells: new Map() };
    this.#windows.splice(at, 0, window);
    if (state === 'open') this.#nextCloseUs = Math.min(this.#nextCloseUs, endUs);
    return window;
  }

  #addCell(window: Window, field: string): Cell {
    const cell = { series: this.#seriesOf(field), fold: new Fold(), revision: 0 };
    window.cells.set(field, cell);
    return cell;
  }

  /** One object per series for as long as some window knows the field: the store caches by it. */
  #seriesOf(field: string): Series {
    for (let i = this.#windows.length - 1; i >= 0; i--) {
      const known = this.#windows[i]!.cells.get(field);
      if (known !== undefined) return known.series;
    }
    return rollupSeries(this.#site, this.#device, field);
  }

  #close(window: Window, state: State): void {
    window.state = state;
    for (const cell of window.cells.values()) this.#emitCell(window, cell);
  }

  #emitCell(window: Window, cell: Cell): void {
    this.#emit(rollupPoint(cell.series, window.startUs, cell.fold, cell.revision++, window.state === 'final'));
  }

  #findNextClose(): void {
    this.#nextCloseUs = this.#windows.find((window) => window.state !== 'final')?.endUs ?? Number.POSITIVE_INFINITY;
  }

  save(to: StateWriter): void {
    to.uint(this.#windows.length);
    for (const window of this.#windows) {
      to.uint(window.startUs);
      to.uint(states.indexOf(window.state));
      to.uint(window.cells.size);
      for (const [field, cell] of window.cells) {
        to.text(field);
        to.uint(cell.revision);
        cell.fold.save(to);
      }
    }
  }

  load(from: StateReader): void {
    for (let windows = from.uint(); windows > 0; windows--) {
      const startUs = from.uint();
      const state = states[from.uint()]!;
      const window: Window = { startUs, endUs: startUs + windowUs, state, cells: new Map() };
      this.#windows.push(window);
      for (let cells = from.uint(); cells > 0; cells--) {
        const cell = this.#addCell(window, from.text());
        cell.revision = from.uint();
        cell.fold.load(from);
      }
    }
    this.#findNextClose();
  }
}

/** How many fields of a reading the window may not know: exact only where the bound is near. */
function maxNewFields(fields: Reading['fields'], window: Window): number {
  if (window.cells.size <= maxFieldsPerWindow / 2) return 0;
  return Object.keys(fields).filter((name) => typeof fields[name] === 'number' && !window.cells.has(name)).length;
}
