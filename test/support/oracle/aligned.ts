/** Windows whose borders are the clock's and not the readings': the levels, tumbling and hopping ones. */
import type { Fields } from '../../../core/reading.ts';
import { type CaseConfig, type Level, matches, type WindowOfUser } from './config.ts';
import type { Emissions } from './emissions.ts';
import { site } from './events.ts';
import { summaryOf, type Value } from './summary.ts';
import { type History, numbersOf, type State, type Windower } from './windower.ts';
import { dayOf } from './zones.ts';

type Bounds = readonly [startUs: number, endUs: number];

export interface AlignedKind {
  readonly measurement: string;
  /** Every window that holds the moment. */
  readonly windowsAt: (timeUs: number) => readonly Bounds[];
  readonly isFor: (field: string) => boolean;
  readonly tell: (values: readonly Value[]) => Fields;
}

const [minuteUs, hourUs, dayMs] = [60_000_000, 3_600_000_000, 86_400_000];

export function levelKind(level: Level, timeZone: string): AlignedKind {
  return {
    measurement: `rollup_${level}`,
    windowsAt: (timeUs) => {
      if (level === '1d') return [dayOf(timeUs, timeZone)];
      return hopping(timeUs, level === '1m' ? minuteUs : hourUs, level === '1m' ? minuteUs : hourUs);
    },
    isFor: () => true,
    tell: (values) => {
      const { rate: _rate, increase: _increase, ...fields } = summaryOf(values);
      return fields;
    },
  };
}

export function kindOfUser(
  window: WindowOfUser & { type: 'tumbling' | 'hopping' },
  { timeZone }: CaseConfig,
): AlignedKind {
  const { name, sizeMs } = window;
  const advanceMs = window.type === 'hopping' ? window.advanceMs : sizeMs;
  return {
    measurement: name,
    windowsAt: (timeUs) =>
      sizeMs === dayMs ? [dayOf(timeUs, timeZone)] : hopping(timeUs, sizeMs * 1000, advanceMs * 1000),
    isFor: (field) => window.fields.some((pattern) => matches(pattern, field)),
    tell: (values) => chosen(window, values),
  };
}

/** The aggregates that were asked for. */
export function chosen({ aggregates }: WindowOfUser, values: readonly Value[]): Fields {
  const summary = summaryOf(values);
  return Object.fromEntries(aggregates.map((name) => [name, summary[name]]));
}

function hopping(timeUs: number, sizeUs: number, advanceUs: number): Bounds[] {
  const windows: Bounds[] = [];
  for (let startUs = Math.floor(timeUs / advanceUs) * advanceUs; startUs > timeUs - sizeUs; startUs -= advanceUs) {
    windows.unshift([startUs, startUs + sizeUs]);
  }
  return windows;
}

interface Window {
  readonly startUs: number;
  readonly endUs: number;
  state: State;
}

export class AlignedWindows implements Windower {
  readonly #kind: AlignedKind;
  readonly #device: string;
  readonly #emissions: Emissions;
  readonly #windows = new Map<number, Window>();

  constructor(kind: AlignedKind, device: string, emissions: Emissions) {
    this.#kind = kind;
    this.#device = device;
    this.#emissions = emissions;
  }

  onReading(history: History, watermarkUs: number): void {
    const { timeUs, fields } = history.at(-1)!;
    const names = this.#fieldsOf(fields);
    if (names.length === 0) return;
    for (const [startUs, endUs] of this.#kind.windowsAt(timeUs)) {
      const window: Window = { startUs, endUs, state: endUs <= watermarkUs ? 'final' : 'open' };
      this.#windows.set(startUs, window);
      if (window.state === 'final') this.#emit(history, window, names);
    }
  }

  onWatermark(history: History, watermarkUs: number): void {
    this.#close(history, ({ state, endUs }) => state !== 'final' && endUs <= watermarkUs, 'final');
  }

  onSilence(history: History, untilUs: number): void {
    this.#close(history, ({ state, endUs }) => state === 'open' && endUs <= untilUs, 'provisional');
  }

  onEnd(history: History): void {
    this.#close(history, ({ state }) => state !== 'final', 'final');
  }

  #close(history: History, isDue: (window: Window) => boolean, state: State): void {
    for (const window of [...this.#windows.values()].filter(isDue)) {
      window.state = state;
      const inside = history.filter(({ timeUs }) => timeUs >= window.startUs && timeUs < window.endUs);
      this.#emit(history, window, new Set(inside.flatMap(({ fields }) => this.#fieldsOf(fields))));
    }
  }

  #emit(history: History, { startUs, endUs, state }: Window, names: Iterable<string>): void {
    const { measurement, tell } = this.#kind;
    for (const field of names) {
      const values = numbersOf(history, field, startUs, endUs);
      this.#emissions.emit({
        measurement,
        tags: { site, device: this.#device, field },
        timeUs: startUs,
        fields: { ...tell(values), final: state === 'final' },
        values,
      });
    }
  }

  #fieldsOf(fields: Fields): string[] {
    return Object.keys(fields).filter((name) => typeof fields[name] === 'number' && this.#kind.isFor(name));
  }
}
