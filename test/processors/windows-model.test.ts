/** Windows of the user against the slow and obvious way, and against themselves with a restart after every reading. */
import { describe, expect, test } from 'vitest';
import { seeded } from './records.ts';
import { Driver, states, type Told, windowOf } from './windower-driver.ts';

const moments = ['count', 'sum', 'min', 'max', 'mean', 'stddev', 'first', 'last'];
const aggregates = [...moments, 'p50', 'p95', 'p99'];
const kinds = {
  tumbling: windowOf({ type: 'tumbling', size: '3m', aggregates }),
  moments: windowOf({ type: 'tumbling', size: '3m', aggregates: moments }),
  hopping: windowOf({ type: 'hopping', size: '15m', advance: '30s', aggregates }),
  counter: windowOf({ type: 'hopping', size: '15m', advance: '20s', aggregates: ['increase', 'rate', 'count'] }),
  session: windowOf({ type: 'session', gap: '15s', aggregates: [...aggregates, 'increase'] }),
  day: windowOf({ type: 'tumbling', size: '1d', aggregates: ['count', 'increase'] }, 'Europe/Berlin'),
  states,
};

type Step =
  | { readonly at: number; readonly fields: Record<string, number | boolean | string> }
  | { readonly silentUntil: number };

/** Minutes of a device: out of order, late, silent, with booleans and texts. */
function stream(seed: number, count: number): Step[] {
  const random = seeded(seed);
  const steps: Step[] = [];
  let now = 0;
  for (let n = 0; n < count; n++) {
    now += random() * (random() < 0.03 ? 120 : 8);
    if (random() < 0.1) steps.push({ silentUntil: now + random() * 90 });
    const behind = random() < 0.05 ? random() * 900 : random() < 0.4 ? random() * 30 : 0;
    const fields: Record<string, number | boolean | string> = { t: Math.round(random() * 1000) / 10 };
    if (random() < 0.4) fields.u = n % 17;
    if (random() < 0.5) fields.door = random() < 0.5;
    if (random() < 0.3) fields.mode = `m${Math.floor(random() * 4)}`;
    if (random() < 0.1) delete fields.t;
    if (Object.keys(fields).length > 0) steps.push({ at: Math.round((now - behind) * 4) / 4, fields });
  }
  return steps;
}

function take(driver: Driver, step: Step): boolean {
  if ('at' in step) return driver.read(step.at, step.fields);
  driver.silence(step.silentUntil);
  return false;
}

describe.each(Object.entries(kinds))('%s', (_, kind) => {
  test('a restart after every reading changes nothing', () => {
    const [whole, torn] = [new Driver(kind, { lateness: 240 }), new Driver(kind, { lateness: 240 })];
    for (const step of stream(1, 500)) {
      for (const driver of [whole, torn]) take(driver, step);
      torn.restart();
    }
    for (const driver of [whole, torn]) driver.finish();
    const told = whole.told();
    expect(told.length).toBeGreaterThan(1);
    expect(torn.told()).toEqual(told);
  });
});

test.each([
  ['tumbling', 180, 180],
  ['moments', 180, 180],
  ['hopping', 900, 30],
] as const)('%s: the last revision tells exactly the readings that were not late', (name, size, advance) => {
  const driver = new Driver(kinds[name], { lateness: 240 });
  const windows = new Map<string, { at: number; value: number }[]>();
  for (const step of stream(3, 2500)) {
    if (!take(driver, step) || !('at' in step)) continue;
    const { at, fields } = step;
    for (const [field, value] of Object.entries(fields)) {
      if (typeof value !== 'number') continue;
      for (let start = Math.floor(at / advance) * advance; start > at - size; start -= advance) {
        const key = `${start} ${field}`;
        const readings = windows.get(key) ?? [];
        readings.push({ at, value });
        windows.set(key, readings);
      }
    }
  }
  driver.finish();
  const last = new Map<string, Told['fields']>();
  for (const { at, field, fields } of driver.told()) {
    const key = `${at} ${field}`;
    expect(fields.revision).toBe(last.has(key) ? (last.get(key)!.revision as number) + 1 : 0);
    last.set(key, fields);
  }
  expect([...last.keys()].sort()).toEqual([...windows.keys()].sort());
  expect([...last.values()].some(({ revision }) => (revision as number) > 2)).toBe(true);
  for (const [key, readings] of windows) {
    const values = readings.map(({ value }) => value).sort((a, b) => a - b);
    const sum = values.reduce((total, value) => total + value, 0);
    const mean = sum / values.length;
    const squares = values.reduce((total, value) => total + (value - mean) ** 2, 0);
    const times = readings.map(({ at }) => at);
    expect(last.get(key)).toEqual({
      count: values.length,
      sum: expect.closeTo(sum, 9),
      min: values[0],
      max: values.at(-1),
      mean: expect.closeTo(mean, 9),
      stddev: expect.closeTo(values.length > 1 ? Math.sqrt(squares / (values.length - 1)) : 0, 9),
      first: readings.find(({ at }) => at === Math.min(...times))!.value,
      last: readings.findLast(({ at }) => at === Math.max(...times))!.value,
      ...(name !== 'moments' && {
        p50: expect.closeTo(percentile(values, 0.5), 9),
        p95: expect.closeTo(percentile(values, 0.95), 9),
        p99: expect.closeTo(percentile(values, 0.99), 9),
      }),
      revision: expect.any(Number),
      final: true,
    });
  }
});

function percentile(sorted: readonly number[], q: number): number {
  const rank = q * (sorted.length - 1);
  const below = sorted[Math.floor(rank)]!;
  return below + (sorted[Math.ceil(rank)]! - below) * (rank % 1);
}
