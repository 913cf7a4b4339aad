/** One window of one device: of each field what came of it so far. */
import type { Series } from '../../store/port.ts';
import { StateReader, type StateWriter } from '../codec.ts';
import { Fold } from './fold.ts';
import { minuteUs } from './levels.ts';

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

/** Bytes of a head with the length of what follows it. */
export const headBytes = 12;
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
    for (let at = 0; at < bytes.length; at += cellHeadBytes + bytes.readUInt16LE(at + 2)) {
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
    to.section(() => {
      for (let index = 0; index < this.width; index++) this.#saveCell(index, to);
    });
  }

  #saveCell(index: number, to: StateWriter): void {
    const cell = this.cells[index];
    const place = this.#places[index];
    if (cell !== undefined) {
      to.section16(index, () => {
        to.uint(cell.revision);
        cell.fold.save(to, this.start * minuteUs);
      });
    } else if (place !== undefined) {
      const bytes = this.#bytes!;
      to.raw(bytes.subarray(place, place + cellHeadBytes + bytes.readUInt16LE(place + 2)));
    }
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

/** Reads what is in front of the cells of a window that was saved, and where its bytes end. */
export function readHead(bytes: Buffer, at: number): WindowHead & { readonly next: number } {
  const start = bytes.readUInt32LE(at);
  const rest = bytes.readUInt32LE(at + 4);
  return {
    start,
    end: start + (rest >>> 8),
    level: (rest >>> 4) & 0xf,
    state: states[rest & 0xf]!,
    next: at + headBytes + bytes.readUInt32LE(at + 8),
  };
}
