/** Sessions: readings of a field that follow each other within the gap, found anew among all of them each time. */
import { chosen } from './aligned.ts';
import { matches, type WindowOfUser } from './config.ts';
import type { Emissions } from './emissions.ts';
import { site } from './events.ts';
import type { Value } from './summary.ts';
import { type History, numbersOf, type State, type Windower } from './windower.ts';

const longestUs = 86_400_000_000;

export class Sessions implements Windower {
  readonly #spec: WindowOfUser & { type: 'session' };
  readonly #device: string;
  readonly #emissions: Emissions;
  /** Of each field, by the start of the session. */
  readonly #states = new Map<string, Map<number, State>>();

  constructor(spec: WindowOfUser & { type: 'session' }, device: string, emissions: Emissions) {
    this.#spec = spec;
    this.#device = device;
    this.#emissions = emissions;
  }

  onReading(history: History, watermarkUs: number): void {
    for (const [field, value] of Object.entries(history.at(-1)!.fields)) {
      if (typeof value !== 'number' || !this.#spec.fields.some((pattern) => matches(pattern, field))) continue;
      this.#onNumber(history, field, watermarkUs);
    }
  }

  #onNumber(history: History, field: string, watermarkUs: number): void {
    const states = this.#states.get(field) ?? new Map<number, State>();
    this.#states.set(field, states);
    const before = this.#sessionsOf(history.slice(0, -1), field);
    const now = this.#sessionsOf(history, field);
    for (const startUs of before.keys()) {
      if (now.has(startUs)) continue;
      states.delete(startUs);
      this.#retract(field, startUs);
    }
    for (const [startUs, session] of now) {
      if (isSame(session, before.get(startUs))) continue;
      const state = this.#endUs(session) <= watermarkUs ? 'final' : 'open';
      states.set(startUs, state);
      if (state === 'final') this.#emit(field, session, true);
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

  #close(history: History, isDue: (state: State, endUs: number) => boolean, to: State): void {
    for (const [field, states] of this.#states) {
      if (![...states.values()].some((state) => state !== 'final')) continue;
      for (const [startUs, session] of this.#sessionsOf(history, field)) {
        if (!isDue(states.get(startUs)!, this.#endUs(session))) continue;
        states.set(startUs, to);
        this.#emit(field, session, to === 'final');
      }
    }
  }

  #emit(field: string, session: readonly Value[], final: boolean): void {
    const startUs = session[0]!.timeUs;
    const durationMs = (session.at(-1)!.timeUs - startUs) / 1000;
    this.#emissions.emit({
      ...this.#placeOf(field, startUs),
      fields: { ...chosen(this.#spec, session), durationMs, retracted: false, final },
      values: session,
    });
  }

  #retract(field: string, startUs: number): void {
    const emitted = this.#emissions.newest(this.#placeOf(field, startUs));
    if (emitted === undefined || emitted.fields.retracted === true) return;
    this.#emissions.emit({ ...emitted, fields: { ...emitted.fields, retracted: true } });
  }

  #placeOf(field: string, startUs: number) {
    return { measurement: this.#spec.name, tags: { site, device: this.#device, field }, timeUs: startUs };
  }

  /** By start. */
  #sessionsOf(history: History, field: string): Map<number, Value[]> {
    const sessions = new Map<number, Value[]>();
    let session: Value[] = [];
    for (const value of numbersOf(history, field, Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY)) {
      const follows =
        session.length > 0 &&
        value.timeUs - session.at(-1)!.timeUs < this.#spec.gapMs * 1000 &&
        value.timeUs - session[0]!.timeUs < longestUs;
      if (follows) session.push(value);
      else {
        session = [value];
        sessions.set(value.timeUs, session);
      }
    }
    return sessions;
  }

  #endUs(session: readonly Value[]): number {
    return session.at(-1)!.timeUs + this.#spec.gapMs * 1000;
  }
}

function isSame(now: readonly Value[], before: readonly Value[] | undefined): boolean {
  return now.length === before?.length && now.at(-1)!.timeUs === before.at(-1)!.timeUs;
}
