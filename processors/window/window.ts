/** One window of one device: of each field what came of it so far. */
import type { Series } from '../../store/port.ts';
import { StateReader, type StateWriter } from '../codec.ts';
import { Fold } from './fold.ts';
import { minuteUs } from './minute.ts';

/**
 * `open`; closed `provisional`ly because the device is silent (a later reading opens it again); or `final` once the
 * watermark has passed its end: from then on a reading corrects its rollup at once.
 */
export type State = 'open' | 'provisional' | 'final';
const states = ['open', 'provisional', 'final'] as const;

export interface Cell {
  /** Of a window above minutes: only what came from parts that nothing can change any more. */
  readonly fold: Fold;
  /** Of the next rollup. */
  revision: number;
  /** Of its rollups, once there was one. */
  series: Series | null;
}

/** What is said of a window in front of its cells. */
export interface WindowHead {
  /** Of `levelsOf`. */
  readonly level: number;
  /** Minutes since the epoch. */
  readonly start: number;
  /** Exclusive. */
  readonly end: number;
  state: State;
}

/** In front of the cells: start, length and level and state, bytes of the cells; in front of each: index, bytes of it. */
const headBytes = 12;
const cellHeadBytes = 4;

export class Window implements WindowHead {
  readonly level: number;
  readonly start: number;
  readonly end: number;
  state: State;
  /** By index of the field: what is not, or not any longer, only bytes. */
  readonly cells: (Cell | undefined)[] = [];
  /** Cells as bytes, and where each of them begins, by index of the field. */
  readonly #bytes: Buffer | null;
  readonly #places: number[] = [];

  /** `bytes`: cells that were saved. They are read when they are asked for. */
  constructor({ level, start, end, state }: WindowHead, bytes: Buffer | null = null) {
    this.level = level;
    this.start = start;
    this.end = end;
    this.state = state;
    this.#bytes = bytes;
    if (bytes === null) return;
    for (let at = 0; at < bytes.length; at = nextCellAt(bytes, at)) {
      this.#places[bytes.readUInt16LE(at)] = at;
    }
  }

  /** Indexes below it may have a cell. */
  get width(): number {
    return Math.max(this.cells.length, this.#places.length);
  }

  has(index: number): boolean {
    return this.cells[index] !== undefined || this.#places[index] !== undefined;
  }

  /** Of a field that it has. */
  fold(index: number): Fold {
    return this.cell(index).fold;
  }

  /** The cell of a field, new if it has none. */
  cell(index: number): Cell {
    const known = this.cells[index];
    if (known !== undefined) return known;
    const cell: Cell = { fold: new Fold(), revision: 0, series: null };
    const place = this.#places[index];
    if (place !== undefined) {
      const from = new StateReader(this.#bytes!.subarray(place + cellHeadBytes));
      cell.revision = from.uint();
      cell.fold.load(from, this.start * minuteUs);
    }
    this.cells[index] = cell;
    return cell;
  }

  save(to: StateWriter): void {
    to.uint32(this.start);
    to.uint32((this.end - this.start) * 0x100 + this.level * 0x10 + states.indexOf(this.state));
    const section = to.openSection();
    const { width } = this;
    for (let index = 0; index < width; index++) {
      const cell = this.cells[index];
      const place = this.#places[index];
      if (cell !== undefined) this.#saveCell(index, cell, to);
      else if (place !== undefined) to.raw(this.#bytes!.subarray(place, nextCellAt(this.#bytes!, place)));
    }
    to.closeSection(section);
  }

  #saveCell(index: number, { revision, fold }: Cell, to: StateWriter): void {
    const cell = to.openCell();
    to.uint(revision);
    fold.save(to, this.start * minuteUs);
    to.closeCell(cell, index);
  }

  /** The same window with other indexes of fields. */
  renumbered(moved: readonly number[]): Window {
    const window = new Window(this);
    for (let index = 0; index < this.width; index++) {
      if (this.has(index)) window.cells[moved[index]!] = this.cell(index);
    }
    return window;
  }
}

/** Of a window that was saved at that place: */
export function startAt(bytes: Buffer, at: number): number {
  return bytes.readUInt32LE(at);
}

export function endAt(bytes: Buffer, at: number): number {
  return bytes.readUInt32LE(at) + bytes.readUInt16LE(at + 5);
}

export function levelAt(bytes: Buffer, at: number): number {
  return bytes[at + 4]! >>> 4;
}

export function stateAt(bytes: Buffer, at: number): State {
  return states[bytes[at + 4]! & 0xf]!;
}

export function nextAt(bytes: Buffer, at: number): number {
  return at + headBytes + bytes.readUInt32LE(at + 8);
}

/** Itself; its cells stay where they are. */
export function windowAt(bytes: Buffer, at: number): Window {
  const head = {
    level: levelAt(bytes, at),
    start: startAt(bytes, at),
    end: endAt(bytes, at),
    state: stateAt(bytes, at),
  };
  return new Window(head, bytes.subarray(at + headBytes, nextAt(bytes, at)));
}

function nextCellAt(bytes: Buffer, at: number): number {
  return at + cellHeadBytes + bytes.readUInt16LE(at + 2);
}
