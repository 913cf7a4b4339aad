/** Where windows begin and end: time without gaps, cut into pieces. All in integer microseconds. */
import { minuteUs } from '../minute.ts';
import { daysIn } from '../time-zone.ts';

export const dayUs = 1440 * minuteUs;

export interface Grid {
  /** Start of the piece that holds the time. */
  startUs(timeUs: number): number;
  /** End of the piece that begins at `startUs`, and start of the next. */
  endUs(startUs: number): number;
}

/** Pieces of one length, aligned to the epoch; of a day, to the midnights of the time zone. */
export function gridOf(lengthUs: number, timeZone: string): Grid {
  if (lengthUs === dayUs) return daysIn(timeZone);
  return {
    startUs: (timeUs) => Math.floor(timeUs / lengthUs) * lengthUs,
    endUs: (startUs) => startUs + lengthUs,
  };
}
