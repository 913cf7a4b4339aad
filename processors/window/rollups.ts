/**
 * The rollups of one device, by event time: windows of minutes, of these hours, of these days. A window is kept until
 * nothing can change it any more; then its parent takes it over, so that what a parent tells is always what its parts
 * tell, merged in the order of their start.
 */
import type { Reading } from '../../core/reading.ts';
import type { RollupEvery } from '../../store/port.ts';
import type { StateReader, StateWriter } from '../codec.ts';
import { rollupPoint, rollupSeries } from '../points.ts';
import { FieldTable } from './field-table.ts';
import type { Fold } from './fold.ts';
import { FrozenWindows, readWindows, writeWindows } from './frozen.ts';
import { days, hours, type Level, minutes, partsLevel } from './levels.ts';
import { minuteOf, minuteUs } from './minute.ts';
import { Whole } from './whole.ts';
import { type State, Window } from './window.ts';
import type { Emit } from './windower.ts';

/** Settled minutes wait for one another: their parent is read and written once for so many. */
const minutesTakenOverAtOnce = 8;

/** A window that is kept, for people to look at. */
export interface KeptWindow {
  readonly every: RollupEvery;
  readonly startUs: number;
  readonly endUs: number;
  readonly state: State;
  /** Values of each field so far, and how often it was written. */
  readonly fields: readonly { readonly name: string; readonly count: number; readonly written: number }[];
}

export type Windowed = 'windowed' | 'no_number' | 'too_many_fields';

export class DeviceRollups {
  readonly #site: string;
  readonly #device: string;
  readonly #levels: readonly Level[];
  readonly #emit: Emit;
  readonly #fields: FieldTable;
  /** Windows in use, of each level by rising start: open minutes, and what was asked for since the last minute closed. */
  readonly #hot: Window[][];
  readonly #frozen = new FrozenWindows();
  #newestMinute = -1;
  /** No window that is not final ends before it, and none that is open before the other. */
  #nextCloseUs = Number.POSITIVE_INFINITY;
  #nextSilenceUs = Number.POSITIVE_INFINITY;
  #nextTakeOverUs = Number.POSITIVE_INFINITY;
  /** Minutes whose parents are known to be there, and not to be closed for silence. */
  #parentsFrom = 0;
  #parentsUntil = 0;
  /** Windows were dropped since fields were last looked for that no window has. */
  #mayForgetFields = false;

  constructor(site: string, device: string, levels: readonly Level[], emit: Emit) {
    this.#site = site;
    this.#device = device;
    this.#levels = levels;
    this.#emit = emit;
    this.#fields = new FieldTable(site, device);
    this.#hot = levels.map(() => []);
  }

  /** Takes a reading that is not late. */
  add({ fields, timeUs }: Reading, watermarkUs: number): Windowed {
    let window: Window | null = null;
    for (const name in fields) {
      const value = fields[name];
      if (typeof value !== 'number') continue;
      if (window === null) {
        if (!this.#hasRoomFor(fields)) return 'too_many_fields';
        window = this.#minuteAt(minuteOf(timeUs), watermarkUs);
      }
      const { index } = this.#fields.get(name) ?? this.#fields.add(name);
      const cell = window.cells[index] ?? window.cell(index);
      cell.fold.add(value, timeUs);
      if (window.state === 'final') this.#tell(window, index, cell.fold);
    }
    if (window === null) return 'no_number';
    if (window.state !== 'open') this.#reopenOrCorrect(window, fields);
    return 'windowed';
  }

  /** Closes what the watermark has passed, and lets go of what nothing can correct any more. */
  advance(watermarkUs: number, horizonUs: number): void {
    if (watermarkUs >= this.#nextCloseUs) this.#close(watermarkUs, 'final');
    const settledUs = Math.min(watermarkUs, horizonUs);
    if (settledUs >= this.#nextTakeOverUs) this.#takeOver(minuteOf(settledUs));
  }

  /** Closes what has been over by `untilUs`, but may still go on. */
  closeProvisionally(untilUs: number): void {
    if (untilUs < this.#nextSilenceUs) return;
    this.#close(untilUs, 'provisional');
    this.#parentsUntil = 0;
  }

  /** Closes everything for good. */
  finalise(): void {
    this.#close(Number.POSITIVE_INFINITY, 'final');
  }

  #close(untilUs: number, state: 'provisional' | 'final'): void {
    const isDue = (was: State, end: number) => was !== 'final' && was !== state && end * minuteUs <= untilUs;
    const due: [level: number, start: number][] = [];
    this.#frozen.scanUnfinished((level, start, end, was) => {
      if (isDue(was, end)) due.push([level, start]);
    });
    for (const [level, start] of due) this.#thaw(level, start);
    for (const windows of this.#hot) {
      for (const window of windows) {
        if (!isDue(window.state, window.end)) continue;
        window.state = state;
        this.#tellAll(window);
      }
    }
    this.#freeze();
  }

  #tellAll(window: Window): void {
    if (!this.#levels[window.level]!.isWritten) return;
    const whole = window.level === minutes ? window : this.#wholeOf(window);
    const { width } = whole;
    for (let index = 0; index < width; index++) {
      if (whole.has(index)) this.#tell(window, index, whole.fold(index));
    }
  }

  #tell(window: Window, index: number, fold: Fold): void {
    const { every, isWritten } = this.#levels[window.level]!;
    if (!isWritten) return;
    const { name, series } = this.#fields.at(index);
    const cell = window.cell(index);
    cell.series ??= window.level === minutes ? series : rollupSeries(every, this.#site, this.#device, name);
    this.#emit(rollupPoint(cell.series, window.start * minuteUs, fold, cell.revision++, window.state === 'final'));
  }

  /** After a reading of a minute that is not open: what else that opens again or corrects. */
  #reopenOrCorrect(minute: Window, fields: Reading['fields']): void {
    if (minute.state === 'provisional') this.#reopen(minute);
    for (let level = minutes + 1; level < this.#levels.length; level++) {
      const start = this.#levels[level]!.startOf(minute.start);
      const state = this.#stateOf(level, start);
      if (state === 'provisional') this.#reopen(this.#thaw(level, start)!);
      else if (state === 'final') this.#correct(this.#thaw(level, start)!, fields);
    }
  }

  #correct(window: Window, fields: Reading['fields']): void {
    if (!this.#levels[window.level]!.isWritten) return;
    const whole = this.#wholeOf(window);
    for (const name in fields) {
      if (typeof fields[name] !== 'number') continue;
      const { index } = this.#fields.get(name)!;
      this.#tell(window, index, whole.fold(index));
    }
  }

  #reopen(window: Window): void {
    window.state = 'open';
    this.#expect(window.state, window.end);
  }

  #minuteAt(minute: number, watermarkUs: number): Window {
    const hot = this.#hot[minutes]!;
    for (let i = hot.length - 1; i >= 0 && hot[i]!.start >= minute; i--) if (hot[i]!.start === minute) return hot[i]!;
    const known = minute <= this.#newestMinute ? this.#thaw(minutes, minute) : null;
    if (known !== null) return known;
    this.#newestMinute = Math.max(this.#newestMinute, minute);
    if (minute < this.#parentsFrom || minute >= this.#parentsUntil) this.#openParents(minute, watermarkUs);
    return this.#add(minutes, minute, watermarkUs);
  }

  #openParents(minute: number, watermarkUs: number): void {
    this.#parentsFrom = minute;
    this.#parentsUntil = Number.POSITIVE_INFINITY;
    for (let level = minutes + 1; level < this.#levels.length; level++) {
      this.#openParent(level, minute, watermarkUs);
      this.#parentsUntil = Math.min(this.#parentsUntil, this.#levels[level]!.endOf(minute));
    }
  }

  /** Sees to it that there is a window for a new minute, and that it is not closed for silence. */
  #openParent(level: number, minute: number, watermarkUs: number): void {
    const start = this.#levels[level]!.startOf(minute);
    const state = this.#stateOf(level, start);
    if (state === null) this.#add(level, minute, watermarkUs);
    else if (state === 'provisional') this.#reopen(this.#thaw(level, start)!);
  }

  #add(level: number, minute: number, watermarkUs: number): Window {
    const { startOf, endOf } = this.#levels[level]!;
    const end = endOf(minute);
    const state: State = end * minuteUs <= watermarkUs ? 'final' : 'open';
    return this.#heat(new Window({ level, start: startOf(minute), end, state }));
  }

  #stateOf(level: number, start: number): State | null {
    const hot = this.#hot[level]!.find((window) => window.start === start);
    return hot?.state ?? this.#frozen.stateOf(level, start);
  }

  /** A window that may be frozen, for use; `null` when there is none. */
  #thaw(level: number, start: number): Window | null {
    const hot = this.#hot[level]!.find((window) => window.start === start);
    if (hot !== undefined) return hot;
    const window = this.#frozen.take(level, start);
    return window === null ? null : this.#heat(window);
  }

  #heat(window: Window): Window {
    const hot = this.#hot[window.level]!;
    let at = hot.length;
    while (at > 0 && hot[at - 1]!.start > window.start) at--;
    hot.splice(at, 0, window);
    this.#expect(window.state, window.end);
    return window;
  }

  #expect(state: State, end: number): void {
    if (state !== 'final') this.#nextCloseUs = Math.min(this.#nextCloseUs, end * minuteUs);
    if (state === 'open') this.#nextSilenceUs = Math.min(this.#nextSilenceUs, end * minuteUs);
  }

  /** Puts everything to rest but open minutes. */
  #freeze(): void {
    for (const [level, windows] of this.#hot.entries()) {
      const stays = (window: Window) => level === minutes && window.state === 'open';
      for (const window of windows) if (!stays(window)) this.#frozen.put(window);
      this.#hot[level] = windows.filter(stays);
    }
    this.#lookAhead();
  }

  #lookAhead(): void {
    this.#nextCloseUs = Number.POSITIVE_INFINITY;
    this.#nextSilenceUs = Number.POSITIVE_INFINITY;
    for (const windows of this.#hot) for (const window of windows) this.#expect(window.state, window.end);
    this.#frozen.scanUnfinished((_level, _start, end, state) => this.#expect(state, end));
    const oldestEnd = this.#frozen.oldestMinuteEnd() ?? Number.POSITIVE_INFINITY;
    this.#nextTakeOverUs = (oldestEnd + minutesTakenOverAtOnce) * minuteUs;
  }

  /** Parents take over what nothing can change any more: all that ended by `until`. */
  #takeOver(until: number): void {
    this.#freeze();
    for (const level of this.#levels.keys()) {
      const settled = this.#frozen.takeEnded(level, until);
      for (const window of settled) this.#passUp(window);
      if (settled.length > 0) this.#mayForgetFields = true;
      this.#freeze();
    }
  }

  #passUp(part: Window): void {
    for (let level = part.level + 1; level < this.#levels.length; level++) {
      const parent = this.#thaw(level, this.#levels[level]!.startOf(part.start));
      if (parent === null || partsLevel(parent) !== part.level) continue;
      for (let index = 0; index < part.width; index++) {
        if (part.has(index)) parent.cell(index).fold.merge(part.cell(index).fold);
      }
    }
  }

  #wholeOf(window: Window): Whole {
    if (window.level === minutes) return new Whole(window, []);
    const level = partsLevel(window);
    const isPart = ({ start, end }: Window) => start >= window.start && end <= window.end;
    const parts = [...this.#frozen.within(level, window.start, window.end), ...this.#hot[level]!.filter(isPart)];
    parts.sort((a, b) => a.start - b.start);
    return new Whole(
      window,
      parts.map((part) => this.#wholeOf(part)),
    );
  }

  #hasRoomFor(fields: Reading['fields']): boolean {
    if (this.#fields.hasRoomFor(fields)) return true;
    if (!this.#mayForgetFields) return false;
    this.#forgetFields();
    return this.#fields.hasRoomFor(fields);
  }

  /** Forgets fields that no window has any longer. */
  #forgetFields(): void {
    this.#mayForgetFields = false;
    const windows = [
      ...this.#hot.flat(),
      ...this.#levels.keys().flatMap((level) => this.#frozen.takeEnded(level, Number.POSITIVE_INFINITY)),
    ];
    const moved = this.#fields.keep((index) => windows.some((window) => window.has(index)));
    this.#hot.forEach((_, level) => {
      this.#hot[level] = [];
    });
    for (const window of windows) this.#heat(window.renumbered(moved));
    this.#freeze();
  }

  /** How many windows are kept of a level, by what became of them. */
  tally(every: RollupEvery): Record<State, number> {
    const tally = { open: 0, provisional: 0, final: 0 };
    const of = this.#levels.findIndex((level) => level.every === every);
    for (const { state } of this.#hot[of] ?? []) tally[state]++;
    this.#frozen.scan((level, _start, _end, state) => {
      if (level === of) tally[state]++;
    });
    return tally;
  }

  /** All that is kept, by level and start. */
  kept(): KeptWindow[] {
    return this.#levels.flatMap(({ every }, level) => {
      const windows = [...this.#hot[level]!, ...this.#frozen.within(level, 0, Number.POSITIVE_INFINITY)];
      windows.sort((a, b) => a.start - b.start);
      return windows.map((window) => ({
        every,
        startUs: window.start * minuteUs,
        endUs: window.end * minuteUs,
        state: window.state,
        fields: this.#fieldsOf(window),
      }));
    });
  }

  #fieldsOf(window: Window): KeptWindow['fields'] {
    const whole = this.#wholeOf(window);
    return Array.from({ length: whole.width }, (_, index) => index)
      .filter((index) => whole.has(index))
      .map((index) => ({
        name: this.#fields.at(index).name,
        count: whole.fold(index).count,
        written: window.has(index) ? window.cell(index).revision : 0,
      }));
  }

  save(to: StateWriter): void {
    this.#fields.save(to);
    to.uint(this.#newestMinute + 1);
    to.uint(this.#mayForgetFields ? 1 : 0);
    to.double(this.#nextTakeOverUs);
    writeWindows(to, this.#hot.flat());
    this.#frozen.save(to);
  }

  /**
   * Takes over what `save` wrote. `isKept`: levels that are what they were when it did; the others begin with what is
   * still there of their parts.
   */
  load(from: StateReader, isKept: (level: number) => boolean, watermarkUs: number): void {
    this.#fields.load(from);
    this.#newestMinute = from.uint() - 1;
    this.#mayForgetFields = from.uint() === 1;
    const takeOverUs = from.double();
    for (const window of readWindows(from)) if (isKept(window.level)) this.#heat(window);
    this.#frozen.load(from);
    for (const level of [hours, days]) if (!isKept(level)) this.#restart(level, watermarkUs);
    this.#lookAhead();
    this.#nextTakeOverUs = takeOverUs;
  }

  #restart(level: number, watermarkUs: number): void {
    this.#frozen.takeEnded(level, Number.POSITIVE_INFINITY);
    const known = this.#levels[level];
    if (known === undefined) return;
    const starts = this.#hot[minutes]!.map(({ start }) => start);
    this.#frozen.scan((of, start) => {
      if (of === minutes) starts.push(start);
    });
    // One that has ended would never be told, or only in part.
    const isOver = (minute: number) => known.endOf(minute) * minuteUs <= watermarkUs;
    for (const minute of starts) if (!isOver(minute)) this.#openParent(level, minute, watermarkUs);
  }
}
