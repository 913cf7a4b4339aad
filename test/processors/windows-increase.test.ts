/** `increase` and `rate` of a counter. */
import { expect, test } from 'vitest';
import { seeded } from './records.ts';
import { Driver, windowOf } from './windower-driver.ts';

const aggregates = ['increase', 'rate'];
const tumbling = windowOf({ type: 'tumbling', size: '5m', aggregates });

/** Increase and rate of the last point of each window, by its start. */
function results(driver: Driver): Record<number, [unknown, unknown]> {
  return Object.fromEntries(driver.told().map(({ at, fields }) => [at, [fields.increase, fields.rate]]));
}

test('adds up what the counter grew between the readings of the window, not across its start', () => {
  const driver = new Driver(tumbling);
  for (const [at, energy] of [
    [0, 100],
    [60, 110],
    [180, 130],
    [320, 150],
    [330, 152],
  ] as const)
    driver.read(at, { energy });
  driver.finish();
  expect(results(driver)).toEqual({ 0: [30, 30 / 180], 300: [2, 0.2] });
});

test('one reading grows by 0, and so does time that does not pass', () => {
  const driver = new Driver(tumbling);
  driver.read(0, { energy: 100 });
  driver.read(300, { energy: 1 });
  driver.read(300, { energy: 4 });
  driver.finish();
  expect(results(driver)).toEqual({ 0: [0, 0], 300: [3, 0] });
});

test('a counter that was reset has grown to its value since', () => {
  const driver = new Driver(tumbling);
  for (const [at, energy] of [
    [0, 100],
    [10, 110],
    [20, 3],
    [30, 5],
  ] as const)
    driver.read(at, { energy });
  driver.finish();
  expect(results(driver)).toEqual({ 0: [15, 0.5] });
});

test('readings that come out of order are no resets', () => {
  const driver = new Driver(tumbling);
  for (const [at, energy] of [
    [0, 100],
    [30, 130],
    [10, 110],
    [20, 120],
    [200, 300],
    [40, 140],
  ] as const) {
    driver.read(at, { energy });
  }
  driver.finish();
  expect(results(driver)).toEqual({ 0: [200, 1] });
});

test('a correction between two readings changes what was written', () => {
  const driver = new Driver(tumbling);
  driver.read(0, { energy: 10 });
  driver.read(200, { energy: 20 });
  driver.read(400, { energy: 30 });
  expect(results(driver)[0]).toEqual([10, 0.05]);
  // The counter was reset and grew to 40 in between: 30 before and 20 after the reset.
  driver.read(100, { energy: 40 });
  expect(results(driver)[0]).toEqual([50, 0.25]);
});

test.each([
  { type: 'tumbling', size: '1h' },
  { type: 'hopping', size: '20m', advance: '1m' },
  { type: 'session', gap: '40s' },
])('equals the sum over all readings in order, out of order and with resets: %o', (entry) => {
  const random = seeded(7);
  const driver = new Driver(windowOf({ ...entry, aggregates: [...aggregates, 'count'] }), { lateness: 120 });
  const readings: { at: number; energy: number }[] = [];
  let energy = 0;
  for (let at = 0; at < 10_000; at += Math.ceil(random() * (random() < 0.02 ? 100 : 20))) {
    energy = random() < 0.02 ? Math.floor(random() * 5) : energy + Math.floor(random() * 9);
    readings.push({ at, energy });
  }
  const late = new Set<number>();
  const order = [...readings.keys()].sort((a, b) => a - b + (random() - 0.5) * 8);
  for (const i of order) if (!driver.read(readings[i]!.at, { energy: readings[i]!.energy })) late.add(i);
  driver.finish();
  const kept = readings.filter((_, i) => !late.has(i));
  const points = new Map(driver.told().map(({ at, fields }) => [at, fields]));
  expect(points.size).toBeGreaterThan(2);
  for (const [start, fields] of points) {
    if (fields.retracted === true) continue;
    const end =
      entry.type === 'session' ? start + (fields.durationMs as number) / 1000 + 1 : start + minutesOf(entry) * 60;
    const inside = kept.filter(({ at }) => at >= start && at < end);
    let increase = 0;
    for (let i = 1; i < inside.length; i++) {
      const [before, after] = [inside[i - 1]!.energy, inside[i]!.energy];
      increase += after >= before ? after - before : after;
    }
    const seconds = inside.at(-1)!.at - inside[0]!.at;
    expect(fields).toMatchObject({ count: inside.length, increase, rate: seconds === 0 ? 0 : increase / seconds });
  }
});

function minutesOf({ size }: { size?: string }): number {
  return size === '1h' ? 60 : 20;
}

test('readings behind the horizon are folded up: a counter of an hour needs no more than one of minutes', () => {
  const driver = new Driver(windowOf({ type: 'tumbling', size: '2h', aggregates }), { lateness: 60 });
  for (let at = 0; at < 300; at++) driver.read(at, { energy: at });
  const early = driver.save().length;
  for (let at = 300; at < 7000; at++) driver.read(at, { energy: at });
  expect(driver.save().length).toBeLessThan(early * 1.2);
  driver.finish();
  expect(results(driver)).toEqual({ 0: [6999, 1] });
});
