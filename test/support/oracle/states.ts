/** How long each state of a boolean or string lasted in each minute, found anew among all readings each time. */
import type { FieldValue } from '../../../core/reading.ts';
import type { Emissions } from './emissions.ts';
import { site } from './events.ts';
import { byTime, type History, type State, type Windower } from './windower.ts';

const minuteUs = 60_000_000;
const mostStates = 16;
const mostBytes = 64;

interface Told {
  durationUs: number;
  entries: number;
}

interface Seen {
  readonly timeUs: number;
  readonly state: string;
}

export class States implements Windower {
  readonly #device: string;
  readonly #emissions: Emissions;
  /** By the start of the minute. */
  readonly #minutes = new Map<number, State>();
  /** The states of a minute and field that have a point already: one that is no more goes to 0. */
  readonly #emitted = new Map<string, Set<string>>();

  constructor(device: string, emissions: Emissions) {
    this.#device = device;
    this.#emissions = emissions;
  }

  onReading(history: History, watermarkUs: number): void {
    const { timeUs, fields } = history.at(-1)!;
    const names = Object.keys(fields).filter((name) => typeof fields[name] !== 'number');
    if (names.length === 0) return;
    const startUs = Math.floor(timeUs / minuteUs) * minuteUs;
    const isFinal = startUs + minuteUs <= watermarkUs;
    this.#minutes.set(startUs, isFinal ? 'final' : 'open');
    for (const field of names) {
      if (isFinal) this.#correct(history, field, startUs);
      this.#carryOn(history, field, startUs + minuteUs);
    }
  }

  onWatermark(history: History, watermarkUs: number): void {
    this.#close(history, (state, endUs) => state !== 'final' && endUs <= watermarkUs, 'final');
  }

  onSilence(history: History, untilUs: number): void {
    this.#close(history, (state, endUs) => state === 'open' && endUs <= untilUs, 'provisional');
  }

  onEnd(history: History): void {
    this.#close(history, (state) => state !== 'final', 'final');
  }

  /** The minute after one that has changed: what it began with may be another now. */
  #carryOn(history: History, field: string, startUs: number): void {
    const state = this.#minutes.get(startUs);
    if (state === undefined || seenIn(history, field, startUs).length === 0) return;
    if (carriedInto(history.slice(0, -1), field, startUs) === carriedInto(history, field, startUs)) return;
    if (state === 'final') this.#correct(history, field, startUs);
    else this.#minutes.set(startUs, 'open');
  }

  /** Emits what the newest reading has changed. */
  #correct(history: History, field: string, startUs: number): void {
    const before = this.#tell(history.slice(0, -1), field, startUs);
    for (const [state, now] of this.#tell(history, field, startUs)) {
      const was = before.get(state);
      if (was?.durationUs !== now.durationUs || was.entries !== now.entries) this.#emit(field, startUs, state, now);
    }
  }

  #close(history: History, isDue: (state: State, endUs: number) => boolean, to: State): void {
    for (const [startUs, state] of this.#minutes) {
      if (!isDue(state, startUs + minuteUs)) continue;
      this.#minutes.set(startUs, to);
      const inside = history.filter(({ timeUs }) => timeUs >= startUs && timeUs < startUs + minuteUs);
      for (const field of new Set(inside.flatMap(({ fields }) => Object.keys(fields)))) {
        for (const [name, told] of this.#tell(history, field, startUs)) this.#emit(field, startUs, name, told);
      }
    }
  }

  #emit(field: string, startUs: number, state: string, { durationUs, entries }: Told): void {
    const key = `${field} ${startUs}`;
    this.#emitted.set(key, (this.#emitted.get(key) ?? new Set()).add(state));
    this.#emissions.emit({
      measurement: 'state_1m',
      tags: { site, device: this.#device, field, state },
      timeUs: startUs,
      fields: { durationMs: durationUs / 1000, entries, final: this.#minutes.get(startUs) === 'final' },
    });
  }

  /** Each state of the minute, and with zeros those that have a point of before. */
  #tell(history: History, field: string, startUs: number): Map<string, Told> {
    const told = statesOf(history, field, startUs);
    for (const state of this.#emitted.get(`${field} ${startUs}`) ?? []) {
      if (!told.has(state)) told.set(state, { durationUs: 0, entries: 0 });
    }
    return told;
  }
}

function statesOf(history: History, field: string, startUs: number): Map<string, Told> {
  const seen = seenIn(history, field, startUs);
  const told = new Map<string, Told>();
  if (seen.length === 0) return told;
  const carried = carriedInto(history, field, startUs);
  const named = new Set<string>();
  const at = (state: string): Told => {
    if (named.size < mostStates) named.add(state);
    const name = named.has(state) ? state : '(other)';
    const known = told.get(name) ?? { durationUs: 0, entries: 0 };
    told.set(name, known);
    return known;
  };
  const untilFirstUs = seen[0]!.timeUs - startUs;
  if (carried !== null && untilFirstUs > 0) at(carried).durationUs += untilFirstUs;
  for (const [i, { timeUs, state }] of seen.entries()) {
    const entry = at(state);
    const untilUs = seen[i + 1]?.timeUs ?? startUs + minuteUs;
    entry.durationUs += untilUs - timeUs;
    if (state !== (i === 0 ? carried : seen[i - 1]!.state)) entry.entries++;
  }
  return told;
}

/** The newest state of the minute before. */
function carriedInto(history: History, field: string, startUs: number): string | null {
  return seenIn(history, field, startUs - minuteUs).at(-1)?.state ?? null;
}

/** The states that the readings of a minute tell, in order of event time. */
function seenIn(history: History, field: string, startUs: number): Seen[] {
  const inside = history.filter(({ timeUs }) => timeUs >= startUs && timeUs < startUs + minuteUs);
  return byTime(inside).flatMap(({ timeUs, fields }) => {
    const value = fields[field];
    return value === undefined || typeof value === 'number' ? [] : [{ timeUs, state: nameOf(value) }];
  });
}

function nameOf(value: FieldValue): string {
  if (value === '') return '(empty)';
  let name = '';
  for (const character of String(value)) {
    if (Buffer.byteLength(name + character) > mostBytes) break;
    name += character;
  }
  return name;
}
