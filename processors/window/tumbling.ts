/**
 * Tumbling windows of one device: one minute, aligned to the epoch, by event time. A window is open until the watermark
 * passes its end (final) or silence closes it (provisional); a final one stays correctable for the allowed lateness.
 */
import type { Fields } from '../../core/reading.ts';
import { Fold, type FoldState } from './fold.ts';

export const windowUs = 60_000_000;

/** Tells the owner that the rollup of one field has a new value. */
export type EmitRollup = (field: string, startUs: number, fold: Fold, revision: number, final: boolean) => void;

type Phase = 'open' | 'provisional' | 'final';

interface Window {
  readonly startUs: number;
  phase: Phase;
  readonly folds: Map<string, { fold: Fold /** Times it was emitted. */; emitted: number; changed: boolean }>;
}

export interface WindowState {
  readonly startUs: number;
  readonly phase: Phase;
  readonly folds: [field: string, fold: FoldState, emitted: number, changed: boolean][];
}

export class TumblingWindows {
  /** By start, oldest first: seldom more than lateness / size. */
  #windows: Window[] = [];
  /** The earliest end of a window that is not final: the watermark has nothing to do before. */
  #nextEndUs = Number.POSITIVE_INFINITY;
  /** The end of the oldest window kept. */
  #oldestEndUs = Number.POSITIVE_INFINITY;

  /** Adds the numbers of a reading; returns how many there were. A final window is corrected at once. */
  add(timeUs: number, fields: Fields, emit: EmitRollup): number {
    let numbers = 0;
    let window: Window | null = null;
    for (const name in fields) {
      const value = fields[name];
      if (typeof value !== 'number') continue;
      numbers++;
      window ??= this.#windowAt(timeUs);
      let entry = window.folds.get(name);
      if (entry === undefined) {
        entry = { fold: new Fold(), emitted: 0, changed: false };
        window.folds.set(name, entry);
      }
      entry.fold.add(value, timeUs);
      entry.changed = true;
    }
    if (window !== null && window.phase === 'final') this.#emitChanged(window, true, emit);
    else if (window !== null && window.phase === 'provisional') {
      // More of a window that silence had closed: it is open again, and closes once more.
      window.phase = 'open';
    }
    return numbers;
  }

  /** Closes what the watermark has passed, and forgets what can no longer be corrected. */
  advance(watermarkUs: number, latenessUs: number, emit: EmitRollup): void {
    if (watermarkUs >= this.#nextEndUs) this.#closeUntil(watermarkUs, emit);
    if (watermarkUs >= this.#oldestEndUs + latenessUs) this.#forgetUntil(watermarkUs - latenessUs);
  }

  /** Closes by silence, provisionally, every open window that ended before `untilUs`. */
  closeProvisionally(untilUs: number, emit: EmitRollup): void {
    for (const window of this.#windows) {
      if (window.phase !== 'open' || window.startUs + windowUs > untilUs) continue;
      window.phase = 'provisional';
      this.#emitChanged(window, false, emit);
    }
  }

  /** Makes every window final: nothing more will come. */
  finish(emit: EmitRollup): void {
    this.#closeUntil(Number.POSITIVE_INFINITY, emit);
  }

  get hasOpen(): boolean {
    return this.#nextEndUs !== Number.POSITIVE_INFINITY;
  }

  state(): WindowState[] {
    return this.#windows.map(({ startUs, phase, folds }) => ({
      startUs,
      phase,
      folds: [...folds].map(([field, { fold, emitted, changed }]) => [field, fold.state(), emitted, changed]),
    }));
  }

  restore(state: readonly WindowState[]): void {
    this.#windows = state.map(({ startUs, phase, folds }) => ({
      startUs,
      phase,
      folds: new Map(
        folds.map(([field, fold, emitted, changed]) => [field, { fold: Fold.from(fold), emitted, changed }]),
      ),
    }));
    this.#remember();
  }

  #windowAt(timeUs: number): Window {
    const startUs = Math.floor(timeUs / windowUs) * windowUs;
    let i = this.#windows.length;
    while (i > 0 && this.#windows[i - 1]!.startUs > startUs) i--;
    const found = this.#windows[i - 1];
    if (found !== undefined && found.startUs === startUs) return found;
    const made: Window = { startUs, phase: 'open', folds: new Map() };
    this.#windows.splice(i, 0, made);
    this.#remember();
    return made;
  }

  #closeUntil(watermarkUs: number, emit: EmitRollup): void {
    for (const window of this.#windows) {
      if (window.phase === 'final' || window.startUs + windowUs > watermarkUs) continue;
      // A provisional close becomes final with a new revision even if nothing changed: `final` itself did.
      for (const entry of window.folds.values()) entry.changed = true;
      window.phase = 'final';
      this.#emitChanged(window, true, emit);
    }
    this.#remember();
  }

  #forgetUntil(untilUs: number): void {
    this.#windows = this.#windows.filter(({ startUs }) => startUs + windowUs > untilUs);
    this.#remember();
  }

  #emitChanged(window: Window, final: boolean, emit: EmitRollup): void {
    for (const [field, entry] of window.folds) {
      if (!entry.changed) continue;
      entry.changed = false;
      emit(field, window.startUs, entry.fold, entry.emitted++, final);
    }
  }

  #remember(): void {
    this.#oldestEndUs = this.#windows.length > 0 ? this.#windows[0]!.startUs + windowUs : Number.POSITIVE_INFINITY;
    const next = this.#windows.find(({ phase }) => phase !== 'final');
    this.#nextEndUs = next === undefined ? Number.POSITIVE_INFINITY : next.startUs + windowUs;
  }
}
