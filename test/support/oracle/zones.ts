/** Time zones where something is odd, and the days of a zone by nothing but the date that its clocks show. */

/** Zone → moments around which its clocks change, or just a time. */
export const zones: Readonly<Record<string, readonly string[]>> = {
  UTC: ['2026-01-31T22:00:00Z', '2026-06-30T09:00:00Z'],
  'Europe/Berlin': ['2026-03-28T22:00:00Z', '2026-10-24T21:00:00Z'],
  'America/New_York': ['2026-03-08T03:00:00Z', '2026-11-01T03:00:00Z'],
  // Half an hour of summer time.
  'Australia/Lord_Howe': ['2026-04-04T12:00:00Z', '2026-10-03T12:00:00Z'],
  // Offsets that are no whole hours.
  'Asia/Kolkata': ['2026-05-01T17:00:00Z'],
  'Asia/Kathmandu': ['2026-05-01T17:00:00Z'],
  // Midnight itself is skipped, or comes twice.
  'America/Santiago': ['2026-04-05T02:00:00Z', '2026-09-06T02:00:00Z'],
  'Africa/Cairo': ['2026-04-23T20:00:00Z', '2026-10-29T19:00:00Z'],
  'Pacific/Kiritimati': ['2026-02-01T08:00:00Z'],
};

const quarterUs = 900_000_000;
const formats = new Map<string, Intl.DateTimeFormat>();
const known = new Map<string, readonly [startUs: number, endUs: number]>();

/** The day that holds a moment: from the first to the last quarter of an hour at which the clocks show its date. */
export function dayOf(timeUs: number, timeZone: string): readonly [startUs: number, endUs: number] {
  let startUs = Math.floor(timeUs / quarterUs) * quarterUs;
  const key = `${timeZone} ${startUs}`;
  const found = known.get(key);
  if (found !== undefined) return found;
  const date = dateAt(startUs, timeZone);
  while (dateAt(startUs - quarterUs, timeZone) === date) startUs -= quarterUs;
  let endUs = startUs;
  while (dateAt(endUs, timeZone) === date) endUs += quarterUs;
  for (let quarter = startUs; quarter < endUs; quarter += quarterUs) {
    known.set(`${timeZone} ${quarter}`, [startUs, endUs]);
  }
  return [startUs, endUs];
}

function dateAt(timeUs: number, timeZone: string): string {
  let format = formats.get(timeZone);
  if (format === undefined) {
    format = new Intl.DateTimeFormat('en-CA', { timeZone, year: 'numeric', month: '2-digit', day: '2-digit' });
    formats.set(timeZone, format);
  }
  return format.format(timeUs / 1000);
}
