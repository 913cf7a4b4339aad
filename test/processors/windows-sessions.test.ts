/** Sessions: the rules of docs/processing.md, "Windows of your own", one by one. */
import { describe, expect, test } from 'vitest';
import { seeded } from './records.ts';
import { Driver, type Told, windowOf } from './windower-driver.ts';

const sessions = windowOf({ type: 'session', gap: '10s', aggregates: ['count', 'sum'] });

const short = ({ at, field, fields: { count, sum, durationMs, revision, final, retracted } }: Told) =>
  `${at} ${field} ${count}/${sum} ${durationMs}ms r${revision} ${final ? 'final' : 'provisional'}${retracted ? ' retracted' : ''}`;

/** Reads one value 1 of `t` at each time. */
function readAll(driver: Driver, ...times: number[]): string[] {
  for (const at of times) driver.read(at, { t: 1 });
  return driver.told().map(short);
}

describe('a session', () => {
  test('holds readings closer than the gap, and ends a gap after its last one', () => {
    const driver = new Driver(sessions);
    expect(readAll(driver, 0, 9.999999, 15, 30, 29.999999)).toEqual(['0 t 3/3 15000ms r0 final']);
    expect(readAll(driver, 44.999999)).toEqual([]);
    expect(readAll(driver, 45)).toEqual(['29.999999 t 2/2 0.001ms r0 final']);
  });

  test('a reading exactly a gap later begins another', () => {
    const driver = new Driver(sessions);
    readAll(driver, 0, 10);
    driver.finish();
    expect(driver.told().map(short)).toEqual(['0 t 1/1 0ms r0 final', '10 t 1/1 0ms r0 final']);
  });

  test('has exactly the aggregates asked for, durationMs, retracted, revision and final', () => {
    const driver = new Driver(sessions);
    driver.read(1, { t: 2 });
    driver.finish();
    expect(driver.told()).toEqual([
      {
        at: 1,
        field: 't',
        fields: { count: 1, sum: 2, durationMs: 0, retracted: false, revision: 0, final: true },
      },
    ]);
  });

  test('is of one field: others have their own', () => {
    const driver = new Driver(sessions);
    driver.read(0, { t: 1 });
    driver.read(8, { t: 1, u: 1 });
    driver.read(16, { u: 1, door: true });
    driver.finish();
    expect(driver.told().map(short)).toEqual(['0 t 2/2 8000ms r0 final', '8 u 2/2 8000ms r0 final']);
  });

  test('silence writes it provisionally, once; a reading makes it go on', () => {
    const driver = new Driver(sessions);
    readAll(driver, 0, 5);
    driver.silence(14);
    expect(driver.told()).toEqual([]);
    driver.silence(15);
    driver.silence(16);
    expect(driver.told().map(short)).toEqual(['0 t 2/2 5000ms r0 provisional']);
    expect(readAll(driver, 12)).toEqual([]);
    driver.silence(30);
    expect(driver.told().map(short)).toEqual(['0 t 3/3 12000ms r1 provisional']);
    expect(readAll(driver, 60)).toEqual(['0 t 3/3 12000ms r2 final']);
  });
});

describe('a reading within the allowed lateness', () => {
  test('extends a final session and writes it again at once', () => {
    const driver = new Driver(sessions);
    readAll(driver, 0, 100);
    expect(readAll(driver, 5)).toEqual(['0 t 2/2 5000ms r1 final']);
  });

  test('is a final session of its own when none is near', () => {
    const driver = new Driver(sessions);
    readAll(driver, 0, 100);
    expect(readAll(driver, 50)).toEqual(['50 t 1/1 0ms r0 final']);
  });

  test('joins two: the joined one is written at its start, the start that is none any more is retracted', () => {
    const driver = new Driver(sessions);
    expect(readAll(driver, 0, 15, 100)).toEqual(['0 t 1/1 0ms r0 final', '15 t 1/1 0ms r0 final']);
    expect(readAll(driver, 8)).toEqual(['0 t 3/3 15000ms r1 final', '15 t 1/1 0ms r1 final retracted']);
  });

  test('before a start moves it: the old one is retracted, and only once', () => {
    const driver = new Driver(sessions);
    readAll(driver, 20, 100);
    expect(readAll(driver, 15)).toEqual(['15 t 2/2 5000ms r0 final', '20 t 1/1 0ms r1 final retracted']);
    expect(readAll(driver, 16)).toEqual(['15 t 3/3 5000ms r1 final']);
  });

  test('may open a final session again: it is written when it closes, retractions are at once', () => {
    const driver = new Driver(sessions);
    expect(readAll(driver, 0, 16)).toEqual(['0 t 1/1 0ms r0 final']);
    // W is 11: with this reading the session goes on to 16, which is open until 26.
    expect(readAll(driver, 8)).toEqual([]);
    driver.silence(26);
    expect(driver.told().map(short)).toEqual(['0 t 3/3 16000ms r1 provisional']);
    expect(readAll(driver, 31)).toEqual(['0 t 3/3 16000ms r2 final']);
    expect(readAll(driver, -9)).toEqual(['-9 t 4/4 25000ms r0 final', '0 t 3/3 16000ms r3 final retracted']);
  });

  test('retracts a provisional start too', () => {
    const driver = new Driver(sessions);
    readAll(driver, 20);
    driver.silence(30);
    expect(driver.told().map(short)).toEqual(['20 t 1/1 0ms r0 provisional']);
    expect(readAll(driver, 18)).toEqual(['20 t 1/1 0ms r1 provisional retracted']);
  });
});

describe('after a day', () => {
  const slow = windowOf({ type: 'session', gap: '2h', aggregates: ['count'] });

  test('a session is cut: the next reading begins another', () => {
    const driver = new Driver(slow);
    for (let hour = 0; hour <= 30; hour++) driver.read(hour * 3600, { t: 1 });
    driver.finish();
    expect(driver.told().map(({ at, fields }) => [at / 3600, fields.count, fields.durationMs])).toEqual([
      [0, 24, 23 * 3_600_000],
      [24, 7, 6 * 3_600_000],
    ]);
  });

  test('a reading that joins two may leave a part of the second to another', () => {
    const driver = new Driver(windowOf({ type: 'session', gap: '10m', aggregates: ['count'] }), { lateness: 3600 });
    const told = () =>
      driver.told().map(({ at, fields }) => [at / 60, fields.count, fields.revision, fields.retracted]);
    // From 0 to 23:48 every 9 minutes, then from 23:59 to 24:20.
    for (let at = 0; at <= 1428; at += 9) driver.read(at * 60, { t: 1 });
    for (const at of [1439, 1445, 1454, 1460]) driver.read(at * 60, { t: 1 });
    driver.read(1480 * 60, { t: 1 });
    expect(told()).toEqual([
      [0, 159, 0, false],
      [1439, 4, 0, false],
    ]);
    driver.read(1431 * 60, { t: 1 });
    // 1439 joins the first; what is a day or more after its start begins another at 1445.
    expect(told()).toEqual([
      [0, 161, 1, false],
      [1439, 4, 1, true],
      [1445, 3, 0, false],
    ]);
  });
});

test('what is behind the horizon is folded up, and forgotten with its session', () => {
  const driver = new Driver(windowOf({ type: 'session', gap: '30s', aggregates: ['count', 'increase'] }), {
    lateness: 60,
  });
  for (let at = 0; at < 1200; at++) driver.read(at, { t: at });
  const early = driver.save().length;
  for (let at = 1200; at < 5000; at++) driver.read(at, { t: at });
  expect(driver.save().length).toBeLessThan(early * 1.5);
  for (let at = 6000; at < 9000; at += 40) driver.read(at, { t: at });
  expect(driver.save().length).toBeLessThan(early * 1.5);
  expect(driver.told()[0]!.fields).toMatchObject({ count: 5000, increase: 4999, durationMs: 4_999_000 });
});

test('points that were retracted are forgotten when their start lies behind the horizon', () => {
  const driver = new Driver(sessions, { lateness: 60 });
  const sizes: number[] = [];
  for (let at = 0; at < 10_000; at += 100) {
    readAll(driver, at, at + 16, at + 50);
    expect(readAll(driver, at + 8)).toContainEqual(expect.stringContaining('retracted'));
    sizes.push(driver.save().length);
  }
  expect(sizes.at(-1)).toBeLessThan(sizes[9]! * 1.5);
});

/** Seconds; stretched, chains of readings are longer than a day and are cut. */
test.each([
  [1, 5, 1],
  [2, 20, 1],
  [3, 60, 1],
  [4, 20, 400],
  [5, 60, 400],
  [6, 90, 400],
])(
  'what is left standing is what the readings in order make, seed %i, gap %i s, stretched %i times',
  (seed, seconds, stretch) => {
    const random = seeded(seed);
    const gap = seconds * stretch;
    const kind = windowOf({ type: 'session', gap: `${gap}s`, aggregates: ['count', 'sum', 'last'] });
    const driver = new Driver(kind, { lateness: 300 * stretch });
    const kept: { at: number; value: number }[] = [];
    let now = 0;
    for (let n = 0; n < 2000; n++) {
      now += random() * (random() < 0.1 ? 90 : 6) * stretch;
      const at = Math.round((now - (random() < 0.3 ? random() * 200 * stretch : 0)) * 2) / 2;
      const value = Math.floor(random() * 100);
      if (driver.read(at, { t: value })) kept.push({ at, value });
      if (random() < 0.05) driver.silence(now + (random() * 40 - 5) * stretch);
    }
    driver.finish();
    const standing = new Map<number, Told['fields']>();
    for (const { at, fields } of driver.told()) {
      expect(fields.revision).toBe(standing.has(at) ? (standing.get(at)!.revision as number) + 1 : 0);
      standing.set(at, fields);
    }
    const expected = new Map<number, object>();
    let current: { start: number; last: number; count: number; sum: number } | null = null;
    for (const { at, value } of kept.sort((a, b) => a.at - b.at)) {
      if (current === null || at - current.last >= gap || at - current.start >= 86_400) {
        current = { start: at, last: at, count: 0, sum: 0 };
      }
      current.last = at;
      current.count++;
      current.sum += value;
      const { count, sum } = current;
      expected.set(current.start, {
        ...{ count, sum, last: value, final: true, retracted: false },
        durationMs: (at - current.start) * 1000,
      });
    }
    const found = [...standing].filter(([, { retracted }]) => retracted === false);
    expect(new Map(found.map(([at, { revision: _, ...fields }]) => [at, fields]))).toEqual(expected);
    expect(found.length).toBeLessThan(standing.size);
  },
);
