/** Where days begin and end in a time zone: at a change to or from summer time one has 23 or 25 hours. */
import { minuteUs } from './minute.ts';

const dayMinutes = 1440;
const minuteMs = 60_000;
/** Local midnight is at most so far from that of UTC. */
const maxOffsetMinutes = 16 * 60;

/** One for each zone that is asked for: finding out where days begin is slow, and partitions share it. */
const zones = new Map<string, Days>();

/** `timeZone`: an IANA name. */
export function daysIn(timeZone: string): Days {
  let days = zones.get(timeZone);
  if (days === undefined) {
    days = new Days(timeZone);
    zones.set(timeZone, days);
  }
  return days;
}

export class Days {
  readonly #format: Intl.DateTimeFormat;
  /** First minutes, by local date in days since the epoch. Readings are from 2000 on and not from the future: some ten thousand. */
  readonly #starts = new Map<number, number>();

  /** `timeZone`: an IANA name. */
  constructor(timeZone: string) {
    this.#format = new Intl.DateTimeFormat('en', {
      timeZone,
      calendar: 'gregory',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
    });
  }

  /** The first moment of the day that `timeUs` is in. */
  startUs(timeUs: number): number {
    return this.#startOfDate(this.#dateOf(timeUs)) * minuteUs;
  }

  /** The first moment of the next day. */
  endUs(timeUs: number): number {
    return this.#startOfDate(this.#dateOf(timeUs) + 1) * minuteUs;
  }

  #dateOf(timeUs: number): number {
    const minute = timeUs / minuteUs;
    let date = Math.floor(minute / dayMinutes) + 1;
    while (this.#startOfDate(date) > minute) date--;
    return date;
  }

  /** The first minute whose local date is this one or, where a zone left a date out, a later one. */
  #startOfDate(date: number): number {
    const known = this.#starts.get(date);
    if (known !== undefined) return known;
    let before = date * dayMinutes - maxOffsetMinutes;
    let start = date * dayMinutes + maxOffsetMinutes;
    while (start - before > 1) {
      const middle = Math.floor((before + start) / 2);
      if (this.#localDate(middle) >= date) start = middle;
      else before = middle;
    }
    this.#starts.set(date, start);
    return start;
  }

  #localDate(minute: number): number {
    const parts = { year: 0, month: 0, day: 0 };
    for (const { type, value } of this.#format.formatToParts(minute * minuteMs)) {
      if (type === 'year' || type === 'month' || type === 'day') parts[type] = Number(value);
    }
    return Date.UTC(parts.year, parts.month - 1, parts.day) / (dayMinutes * minuteMs);
  }
}
