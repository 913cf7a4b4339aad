/** Tumbling and hopping windows: the rules of docs/processing.md, "Windows of your own", one by one. */
import { describe, expect, test } from 'vitest';
import { Driver, type Told, windowOf } from './windower-driver.ts';

const minute = windowOf({ type: 'tumbling', size: '1m', aggregates: ['count', 'sum'] });
const hop = windowOf({ type: 'hopping', size: '3m', advance: '1m', aggregates: ['count', 'sum', 'first', 'last'] });

/** at field count/sum revision final */
const short = ({ at, field, fields: { count, sum, revision, final } }: Told) =>
  `${at} ${field} ${count}/${sum} r${revision} ${final ? 'final' : 'provisional'}`;

describe('a tumbling window', () => {
  test('is written once the watermark has passed its end, with exactly the aggregates asked for', () => {
    const driver = new Driver(minute);
    driver.read(0, { t: 1 });
    driver.read(59.999, { t: 2 });
    driver.read(64.999999, { t: 3 });
    expect(driver.told()).toEqual([]);
    driver.read(65, { t: 4 });
    expect(driver.told()).toEqual([{ at: 0, field: 't', fields: { count: 2, sum: 3, revision: 0, final: true } }]);
  });

  test('has a point for each number field that matches, and no other', () => {
    const kind = windowOf({ type: 'tumbling', size: '1m', fields: ['temp*', 'p?'], aggregates: ['max'] });
    const driver = new Driver(kind);
    driver.read(1, { temp_in: 1, p1: 2, p10: 3, door: true, tempo: 'fast' });
    driver.read(2, { p10: 4 });
    driver.finish();
    expect(driver.told().map(({ field, fields }) => [field, fields.max])).toEqual([
      ['temp_in', 1],
      ['p1', 2],
    ]);
  });

  test('a reading without a matching number touches none', () => {
    const driver = new Driver(windowOf({ type: 'tumbling', size: '1m', fields: ['a'], aggregates: ['count'] }));
    driver.read(1, { a: 1 });
    driver.silence(70);
    driver.told();
    driver.read(2, { b: 1, a: 'text' });
    driver.silence(80);
    expect(driver.told()).toEqual([]);
  });

  test('silence closes it provisionally, a reading opens it again, the watermark closes it for good', () => {
    const driver = new Driver(minute);
    driver.read(10, { t: 1, u: 7 });
    driver.silence(59);
    expect(driver.told()).toEqual([]);
    driver.silence(60);
    driver.silence(61);
    expect(driver.told().map(short)).toEqual(['0 t 1/1 r0 provisional', '0 u 1/7 r0 provisional']);
    driver.read(50, { t: 2 });
    expect(driver.told()).toEqual([]);
    driver.silence(62);
    expect(driver.told().map(short)).toEqual(['0 t 2/3 r1 provisional', '0 u 1/7 r1 provisional']);
    driver.read(70, { t: 4 });
    expect(driver.told().map(short)).toEqual(['0 t 2/3 r2 final', '0 u 1/7 r2 final']);
  });

  test('a reading within the allowed lateness corrects a final one at once, its fields alone', () => {
    const driver = new Driver(minute);
    driver.read(10, { t: 1, u: 7 });
    driver.read(125, { t: 2 });
    driver.told();
    driver.read(20, { t: 3 });
    expect(driver.told().map(short)).toEqual(['0 t 2/4 r1 final']);
    // Of a minute that had none: it is final from its first reading on.
    driver.read(70, { u: 1 });
    expect(driver.told().map(short)).toEqual(['60 u 1/1 r0 final']);
  });

  test('is in the horizon as long as a reading can come, and nothing is kept of it afterwards', () => {
    const driver = new Driver(minute, { lateness: 60 });
    driver.read(0, { t: 1 });
    const small = driver.save().length;
    for (let at = 0; at < 6000; at += 10) driver.read(at, { t: 1 });
    expect(driver.save().length).toBeLessThan(small * 6);
    expect(driver.read(5839, { t: 1 })).toBe(false);
    expect(driver.read(5880, { t: 1 })).toBe(true);
  });

  test('of a day lies between midnights of the time zone, also when the clocks change', () => {
    const kind = windowOf({ type: 'tumbling', size: '1d', aggregates: ['count'] }, 'Europe/Berlin');
    const driver = new Driver(kind);
    // 2026-03-29 has 23 hours in Berlin; readings every hour from the 28th, 00:00 local = 27th, 23:00 UTC.
    const from = (Date.UTC(2026, 2, 27, 23) - Date.UTC(2026, 0, 1, 12)) / 1000;
    for (let hour = 0; hour < 72; hour++) driver.read(from + hour * 3600, { t: hour });
    expect(driver.told().map(({ at, fields }) => [(at - from) / 3600, fields.count])).toEqual([
      [0, 24],
      [24, 23],
    ]);
  });

  test('other sizes are aligned to the epoch', () => {
    const driver = new Driver(windowOf({ type: 'tumbling', size: '7h', aggregates: ['count'] }, 'Asia/Kolkata'));
    driver.read(0, { t: 1 });
    driver.finish();
    const [{ at }] = driver.told() as [Told];
    expect(((at + Date.UTC(2026, 0, 1, 12) / 1000) / 3600) % 7).toBe(0);
  });
});

describe('a hopping window', () => {
  test('a reading counts in every window that holds it, each with a point of its own', () => {
    const driver = new Driver(hop);
    driver.read(130, { t: 1 });
    driver.finish();
    expect(driver.told().map(short)).toEqual(['0 t 1/1 r0 final', '60 t 1/1 r0 final', '120 t 1/1 r0 final']);
  });

  test('windows close one by one, put together of their slices in order', () => {
    const driver = new Driver(hop);
    driver.read(10, { t: 1 });
    driver.read(70, { t: 2 });
    driver.read(130, { t: 4 });
    driver.told();
    driver.read(185, { t: 8 });
    expect(driver.told()).toEqual([
      { at: 0, field: 't', fields: { count: 3, sum: 7, first: 1, last: 4, revision: 0, final: true } },
    ]);
    driver.finish();
    expect(driver.told().map(short)).toEqual(['60 t 3/14 r0 final', '120 t 2/12 r0 final', '180 t 1/8 r0 final']);
  });

  test('windows without a reading have no point, however long nothing came', () => {
    const driver = new Driver(hop);
    driver.read(10, { t: 1 });
    driver.read(100_000, { t: 2 });
    expect(driver.told().map(short)).toEqual(['-120 t 1/1 r0 final', '-60 t 1/1 r0 final', '0 t 1/1 r0 final']);
  });

  test('a correction writes every final window that holds it, and opens every provisional one', () => {
    const driver = new Driver(hop);
    driver.read(10, { t: 1 });
    driver.read(125, { t: 2 });
    driver.silence(240);
    // W is 120: windows at -120 and -60 are final, those at 0 and 60 ended by 240.
    expect(driver.told().map(short)).toEqual([
      '-120 t 1/1 r0 final',
      '-60 t 1/1 r0 final',
      '0 t 2/3 r0 provisional',
      '60 t 1/2 r0 provisional',
    ]);
    driver.read(20, { t: 4 });
    expect(driver.told().map(short)).toEqual(['-120 t 2/5 r1 final', '-60 t 2/5 r1 final']);
    driver.silence(241);
    expect(driver.told().map(short)).toEqual(['0 t 3/7 r1 provisional']);
  });

  test('slices go once no window needs them', () => {
    const driver = new Driver(hop, { lateness: 60 });
    for (let at = 0; at < 600; at += 10) driver.read(at, { t: 1 });
    const early = driver.save().length;
    for (let at = 600; at < 6000; at += 10) driver.read(at, { t: 1 });
    expect(driver.save().length).toBeLessThan(early * 1.2);
  });
});

test.each([minute, hop, windowOf({ type: 'session', gap: '1m', aggregates: ['count', 'sum'] })])(
  'an entry that is new begins with what comes, final at once where the watermark has passed it (%#)',
  (kind) => {
    const driver = new Driver(kind);
    driver.read(10, { t: 1 });
    driver.read(300, { t: 2 });
    driver.told();
    driver.startAnew();
    driver.read(65, { t: 4 });
    const starts = driver.told();
    expect(starts.length).toBeGreaterThan(0);
    for (const { fields } of starts) expect(fields).toMatchObject({ count: 1, sum: 4, revision: 0, final: true });
    driver.read(301, { t: 8 });
    expect(driver.told()).toEqual([]);
  },
);

test('further fields than a device may have are in no window, until others are gone', () => {
  const driver = new Driver(minute, { lateness: 60 });
  for (let i = 0; i < 1030; i++) driver.read(1, { [`f${i}`]: 1 });
  driver.read(1, { f0: 1, f1029: 1 });
  driver.read(70, { f0: 1, f1029: 1 });
  const told = driver.told();
  expect(told).toHaveLength(1024);
  expect(told[0]!.fields.count).toBe(2);
  // By now the first minute is settled, and its fields are forgotten.
  driver.read(200, { f0: 1 });
  driver.read(201, { f1029: 1 });
  driver.finish();
  expect(driver.told().map(short)).toEqual(['60 f0 1/1 r0 final', '180 f0 1/1 r0 final', '180 f1029 1/1 r0 final']);
});
