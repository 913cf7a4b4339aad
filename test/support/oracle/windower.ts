/** What one kind of window makes of a device's readings. */
import type { Fields } from '../../../core/reading.ts';
import type { Value } from './summary.ts';

/** One that counts: neither late nor a duplicate. */
export interface CountedReading {
  readonly timeUs: number;
  readonly fields: Fields;
}

/** All that counted so far, in order of arrival. */
export type History = readonly CountedReading[];

export interface Windower {
  /** The newest of the history has just come; the watermark has not moved yet. */
  onReading(history: History, watermarkUs: number): void;
  onWatermark(history: History, watermarkUs: number): void;
  /** The device is silent: what ended by then is closed for now. */
  onSilence(history: History, untilUs: number): void;
  /** Nothing more will come. */
  onEnd(history: History): void;
}

/** `final` stays; the others follow each other as often as the device falls silent and comes back. */
export type State = 'open' | 'provisional' | 'final';

/** Readings in order of event time; those of one time in order of arrival. */
export function byTime(history: History): CountedReading[] {
  return history.toSorted((a, b) => a.timeUs - b.timeUs);
}

/** The numbers of a field between two moments, in order of event time. */
export function numbersOf(history: History, field: string, startUs: number, endUs: number): Value[] {
  const inside = history.filter(({ timeUs }) => timeUs >= startUs && timeUs < endUs);
  return byTime(inside).flatMap(({ timeUs, fields }) => {
    const value = fields[field];
    return typeof value === 'number' ? [{ timeUs, value }] : [];
  });
}
