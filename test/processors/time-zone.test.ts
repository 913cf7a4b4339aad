import { expect, test } from 'vitest';
import { Days } from '../../processors/window/time-zone.ts';

const hourUs = 3_600_000_000;
const us = (time: string) => Date.parse(time) * 1000;
const iso = (timeUs: number) => new Date(timeUs / 1000).toISOString();

test.each([
  ['UTC', '2026-01-01T12:00:00Z', '2026-01-01T00:00:00.000Z', 24],
  ['Europe/Berlin', '2026-01-01T12:00:00Z', '2025-12-31T23:00:00.000Z', 24],
  ['Europe/Berlin', '2026-03-29T01:30:00Z', '2026-03-28T23:00:00.000Z', 23],
  ['Europe/Berlin', '2026-10-25T22:59:59.999Z', '2026-10-24T22:00:00.000Z', 25],
  ['Asia/Kolkata', '2026-01-01T18:30:00Z', '2026-01-01T18:30:00.000Z', 24],
  ['Asia/Kathmandu', '2026-01-01T18:14:59Z', '2025-12-31T18:15:00.000Z', 24],
  ['Australia/Lord_Howe', '2026-04-05T00:00:00Z', '2026-04-04T13:00:00.000Z', 24.5],
  ['Pacific/Kiritimati', '2026-01-01T10:00:00Z', '2026-01-01T10:00:00.000Z', 24],
  ['Pacific/Pago_Pago', '2026-01-01T10:59:00Z', '2025-12-31T11:00:00.000Z', 24],
])('%s at %s: the day begins at %s and has %f h', (zone, time, start, dayHours) => {
  const days = new Days(zone);
  expect(iso(days.startUs(us(time)))).toBe(start);
  expect((days.endUs(us(time)) - days.startUs(us(time))) / hourUs).toBe(dayHours);
});

test('where a zone leaves out midnight, the day begins when its first hour does', () => {
  // In São Paulo 00:00 to 01:00 did not exist on 4 November 2018.
  const days = new Days('America/Sao_Paulo');
  expect(iso(days.startUs(us('2018-11-04T12:00:00Z')))).toBe('2018-11-04T03:00:00.000Z');
  expect(days.endUs(us('2018-11-04T12:00:00Z')) - days.startUs(us('2018-11-04T12:00:00Z'))).toBe(23 * hourUs);
});

test('where a zone leaves out a date, there is no day of it', () => {
  // Samoa went from 29 to 31 December 2011.
  const days = new Days('Pacific/Apia');
  const end = days.endUs(us('2011-12-30T09:59:00Z'));
  expect(iso(end)).toBe('2011-12-30T10:00:00.000Z');
  expect(days.startUs(end)).toBe(end);
  expect(days.endUs(end) - end).toBe(24 * hourUs);
});

test.each(['UTC', 'Europe/Berlin', 'America/St_Johns', 'Africa/Casablanca', 'Asia/Gaza', 'America/Havana'])(
  'days of %s follow one another without gap or overlap, and each moment is in its own',
  (zone) => {
    const days = new Days(zone);
    let startUs = days.startUs(us('2005-01-01T12:00:00Z'));
    while (startUs < us('2027-01-01T00:00:00Z')) {
      const endUs = days.endUs(startUs);
      expect(endUs - startUs).toBeGreaterThanOrEqual(23 * hourUs);
      expect(endUs - startUs).toBeLessThanOrEqual(25 * hourUs);
      for (const timeUs of [startUs, startUs + 12 * hourUs, endUs - 1]) {
        if (days.startUs(timeUs) !== startUs || days.endUs(timeUs) !== endUs) expect.fail(`${iso(timeUs)} in ${zone}`);
      }
      startUs = endUs;
    }
  },
);
