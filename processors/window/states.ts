/**
 * `state_1m`: how long each state of a boolean or string lasted, per field and minute. A state lasts from its reading to
 * the next one of the field, and over a minute's end only into the minute right after, if that has a reading at all.
 */
import { StringDecoder } from 'node:string_decoder';
import type { FieldValue, Reading } from '../../core/reading.ts';
import type { Series } from '../../store/port.ts';
import type { StateReader, StateWriter } from '../codec.ts';
import { maxFieldsPerDevice } from './custom/entry.ts';
import { TimedValues } from './custom/timed-values.ts';
import { minuteStartUs, minuteUs } from './minute.ts';
import type { Emit, Windower, WindowerKind } from './windower.ts';

/** Of a state's text, which is a tag. */
const maxStateBytes = 64;
/** Of one field in one minute; further ones are counted as one. */
const maxStates = 16;
const otherState = '(other)';
const noText = '(empty)';

/** What became of a minute; as in `windows.ts`. */
const phases = ['open', 'provisional', 'final'] as const;
type Phase = (typeof phases)[number];

interface Lasted {
  durationUs: number;
  /** Readings that changed the state to this one, or were the first of which a state is known. */
  entries: number;
}

/** The point of one state as it was last written. */
interface Written extends Lasted {
  readonly series: Series;
  /** Of the next point. */
  revision: number;
}

interface Cell {
  readonly readings: TimedValues<string>;
  readonly written: Map<string, Written>;
}

interface Minute {
  readonly startUs: number;
  readonly endUs: number;
  phase: Phase;
  readonly cells: Map<string, Cell>;
}

export const stateMinutes: WindowerKind = {
  fingerprint: 'state_1m',
  make: (site, device, emit) => new StateMinutes(site, device, emit),
};

class StateMinutes implements Windower {
  readonly #site: string;
  readonly #device: string;
  readonly #emit: Emit;
  /** By rising start. Kept until the minute after them is settled too: it begins with what was last in them. */
  readonly #minutes: Minute[] = [];
  #nextCloseUs = Number.POSITIVE_INFINITY;

  constructor(site: string, device: string, emit: Emit) {
    this.#site = site;
    this.#device = device;
    this.#emit = emit;
  }

  add({ fields, timeUs }: Reading, watermarkUs: number): void {
    let minute: Minute | null = null;
    for (const name in fields) {
      const value = fields[name]!;
      if (typeof value === 'number') continue;
      minute ??= this.#minuteAt(timeUs, watermarkUs);
      const cell = minute.cells.get(name) ?? addCell(minute, name);
      if (cell === undefined) continue;
      const before = cell.readings.last();
      const state = stateOf(value);
      // One text in memory for as long as the state goes on.
      cell.readings.insert(timeUs, state === before ? before : state);
      if (minute.phase === 'final') this.#write(minute, name, cell, true);
      if (cell.readings.last() !== before) this.#carryOn(minute, name);
    }
    if (minute?.phase === 'provisional') minute.phase = 'open';
  }

  advance(watermarkUs: number, horizonUs: number): void {
    if (this.#minutes.length === 0) return;
    if (watermarkUs >= this.#nextCloseUs) {
      for (const minute of this.#minutes) {
        if (minute.endUs <= watermarkUs && minute.phase !== 'final') this.#close(minute, 'final');
      }
      this.#findNextClose();
    }
    const settledUs = Math.min(watermarkUs, horizonUs);
    let dropped = 0;
    while (dropped < this.#minutes.length && this.#minutes[dropped]!.endUs + minuteUs <= settledUs) dropped++;
    if (dropped > 0) this.#minutes.splice(0, dropped);
  }

  closeProvisionally(untilUs: number): void {
    if (untilUs < this.#nextCloseUs) return;
    for (const minute of this.#minutes) {
      if (minute.endUs <= untilUs && minute.phase === 'open') this.#close(minute, 'provisional');
    }
  }

  finalise(): void {
    for (const minute of this.#minutes) if (minute.phase !== 'final') this.#close(minute, 'final');
    this.#nextCloseUs = Number.POSITIVE_INFINITY;
  }

  #minuteAt(timeUs: number, watermarkUs: number): Minute {
    let at = this.#minutes.length;
    for (; at > 0; at--) {
      const minute = this.#minutes[at - 1]!;
      if (minute.endUs <= timeUs) break;
      if (minute.startUs <= timeUs) return minute;
    }
    const startUs = minuteStartUs(timeUs);
    const endUs = startUs + minuteUs;
    const minute: Minute = { startUs, endUs, phase: endUs <= watermarkUs ? 'final' : 'open', cells: new Map() };
    this.#minutes.splice(at, 0, minute);
    if (minute.phase === 'open') this.#nextCloseUs = Math.min(this.#nextCloseUs, endUs);
    return minute;
  }

  #close(minute: Minute, phase: Phase): void {
    minute.phase = phase;
    for (const [field, cell] of minute.cells) this.#write(minute, field, cell, false);
  }

  /** The minute ends in another state than it did: the one after it began in another. */
  #carryOn(minute: Minute, field: string): void {
    const next = this.#minutes.find(({ startUs }) => startUs === minute.endUs);
    const cell = next?.cells.get(field);
    if (next === undefined || cell === undefined) return;
    if (next.phase === 'final') this.#write(next, field, cell, true);
    else next.phase = 'open';
  }

  /** Writes the states of a field in a minute, or of them those that are not as they were last written. */
  #write(minute: Minute, field: string, cell: Cell, onlyNews: boolean): void {
    const states = lasting(minute, this.#stateAtEndOf(minute.startUs - minuteUs, field), cell.readings);
    for (const state of cell.written.keys()) {
      // It came over from the minute before and does so no more; its point cannot be taken back.
      if (!states.has(state)) states.set(state, { durationUs: 0, entries: 0 });
    }
    for (const [state, { durationUs, entries }] of states) {
      let written = cell.written.get(state);
      if (written === undefined) {
        written = { series: this.#seriesOf(field, state), revision: 0, durationUs, entries };
        cell.written.set(state, written);
      } else if (onlyNews && written.durationUs === durationUs && written.entries === entries) {
        continue;
      }
      const revision = written.revision++;
      Object.assign(written, { durationUs, entries });
      const fields = { durationMs: durationUs / 1000, entries, revision, final: minute.phase === 'final' };
      this.#emit({ series: written.series, fields, timeUs: minute.startUs, k: 0 });
    }
  }

  /** `null` when nothing was read in that minute. */
  #stateAtEndOf(startUs: number, field: string): string | null {
    const minute = this.#minutes.find((each) => each.startUs === startUs);
    return minute?.cells.get(field)?.readings.last() ?? null;
  }

  /** One object per series for as long as some minute knows the state: the store caches by it. */
  #seriesOf(field: string, state: string): Series {
    for (let i = this.#minutes.length - 1; i >= 0; i--) {
      const known = this.#minutes[i]!.cells.get(field)?.written.get(state);
      if (known !== undefined) return known.series;
    }
    return {
      bucket: 'rollup',
      measurement: 'state_1m',
      tags: { site: this.#site, device: this.#device, field, state },
    };
  }

  #findNextClose(): void {
    this.#nextCloseUs = this.#minutes.find(({ phase }) => phase !== 'final')?.endUs ?? Number.POSITIVE_INFINITY;
  }

  save(to: StateWriter): void {
    to.uint(this.#minutes.length);
    for (const { startUs, phase, cells } of this.#minutes) {
      to.uint(startUs);
      to.uint(phases.indexOf(phase));
      to.uint(cells.size);
      for (const [field, { readings, written }] of cells) {
        to.text(field);
        readings.save(to, (state) => to.text(state));
        to.uint(written.size);
        for (const [state, { durationUs, entries, revision }] of written) {
          to.text(state);
          for (const part of [durationUs, entries, revision]) to.uint(part);
        }
      }
    }
  }

  load(from: StateReader): void {
    for (let minutes = from.uint(); minutes > 0; minutes--) {
      const startUs = from.uint();
      const phase = phases[from.uint()]!;
      const minute: Minute = { startUs, endUs: startUs + minuteUs, phase, cells: new Map() };
      this.#minutes.push(minute);
      for (let cells = from.uint(); cells > 0; cells--) this.#loadCell(minute, from);
    }
    this.#findNextClose();
  }

  #loadCell(minute: Minute, from: StateReader): void {
    const field = from.text();
    const cell = addCell(minute, field)!;
    cell.readings.load(from, () => from.text());
    for (let states = from.uint(); states > 0; states--) {
      const state = from.text();
      const [durationUs, entries, revision] = [from.uint(), from.uint(), from.uint()];
      cell.written.set(state, { series: this.#seriesOf(field, state), durationUs, entries, revision });
    }
  }
}

/** `undefined` at the bound of fields: a further one is in no minute. */
function addCell(minute: Minute, field: string): Cell | undefined {
  if (minute.cells.size >= maxFieldsPerDevice) return undefined;
  const cell = { readings: new TimedValues<string>(), written: new Map() };
  minute.cells.set(field, cell);
  return cell;
}

/** How long each state lasted in a minute with at least one reading; `carried` is the one it began with, if any. */
function lasting(minute: Minute, carried: string | null, readings: TimedValues<string>): Map<string, Lasted> {
  const states = new Map<string, Lasted>();
  let state = carried;
  let sinceUs = minute.startUs;
  for (let i = 0; i < readings.length; i++) {
    const timeUs = readings.timeAt(i);
    const next = readings.valueAt(i);
    if (state !== null && timeUs > sinceUs) lastedOf(states, state).durationUs += timeUs - sinceUs;
    const lasted = lastedOf(states, next);
    if (next !== state) lasted.entries++;
    state = next;
    sinceUs = timeUs;
  }
  lastedOf(states, state!).durationUs += minute.endUs - sinceUs;
  return states;
}

function lastedOf(states: Map<string, Lasted>, state: string): Lasted {
  let lasted = states.get(state);
  if (lasted === undefined && states.size >= maxStates && state !== otherState) return lastedOf(states, otherState);
  if (lasted === undefined) {
    lasted = { durationUs: 0, entries: 0 };
    states.set(state, lasted);
  }
  return lasted;
}

/** A value as a tag: not empty, of a bounded length, and nothing that line protocol cannot express. */
function stateOf(value: FieldValue): string {
  if (typeof value !== 'string') return String(value);
  if (value === '') return noText;
  const text = expressible(value.slice(0, maxStateBytes));
  // A UTF-16 unit takes at most 3 bytes in UTF-8: most texts need no count.
  if (text.length * 3 <= maxStateBytes) return text;
  const bytes = Buffer.from(text);
  if (value.length <= maxStateBytes && bytes.length <= maxStateBytes) return text;
  // Leaves out a character that is cut, and keeps nothing of a long text in memory.
  return new StringDecoder('utf8').write(bytes.subarray(0, maxStateBytes));
}

function expressible(text: string): string {
  if (text.isWellFormed() && !/[\p{Cc}\\]/u.test(text)) return text;
  return text.toWellFormed().replace(/[\p{Cc}\\]/gu, '\ufffd');
}
