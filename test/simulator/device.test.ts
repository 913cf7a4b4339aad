/** A device without its connection: the same seed and start give the same values at the same times. */
import { expect, test } from 'vitest';
import { Device } from '../../simulator/device.ts';
import { type Fleet, identities } from '../../simulator/fleet.ts';
import { correlated, ornsteinUhlenbeck } from '../../simulator/signals.ts';
import { testFleet } from './test-fleet.ts';

const startMs = 1_760_000_000_000;

function made(
  count: number,
  { seed = 1, index = 0, ...over }: Partial<Fleet> & { seed?: number; index?: number } = {},
) {
  const fleet = testFleet({ count: 12, intervalMs: 1000, jitter: 0.5, ...over });
  const device = new Device(identities(fleet)[index]!, { fleet, seed, startMs, firstMs: startMs });
  return Array.from({ length: count }, () => {
    const dueMs = device.nextAtMs;
    return { dueMs, ...device.next() };
  });
}

test('same seed, same measurements; another seed or another device, others', () => {
  expect(made(500)).toEqual(made(500));
  expect(made(500, { seed: 2 })).not.toEqual(made(500));
  expect(made(500, { index: 3 })).not.toEqual(made(500));
});

test('values are pinned: a change of them is a change of every recorded run', () => {
  expect(made(2).map(({ timeMs, seq, fields }) => JSON.stringify([timeMs, seq, fields]))).toMatchInlineSnapshot(`
    [
      "[1760000000042,0,{"temperature":18.33,"cycles":0,"open":true}]",
      "[1760000001398,1,{"temperature":18.86,"cycles":0,"open":true}]",
    ]
  `);
});

test('jitter moves each measurement, but not the pace; times rise and seq counts from 0', () => {
  const measured = made(1000);
  expect(measured.map(({ seq }) => seq)).toEqual(Array.from({ length: 1000 }, (_, n) => n));
  for (const [n, { dueMs, timeMs, elapsedMs }] of measured.entries()) {
    expect(dueMs - startMs).toBeGreaterThanOrEqual(n * 1000);
    expect(dueMs - startMs).toBeLessThanOrEqual(n * 1000 + 500);
    expect(timeMs).toBe(Math.floor(dueMs));
    expect(elapsedMs).toBe(timeMs - startMs);
  }
  expect(new Set(measured.map(({ dueMs }, n) => Math.round(dueMs - startMs - n * 1000))).size).toBeGreaterThan(100);
});

test('at one measurement per millisecond no two have the same time', () => {
  const measured = made(10_000, { intervalMs: 1, jitter: 1 });
  expect(new Set(measured.map(({ timeMs }) => timeMs)).size).toBe(10_000);
  for (const { timeMs, dueMs } of measured) expect(Math.abs(timeMs - dueMs)).toBeLessThan(2);
});

test('a signal sees the fields of the same measurement that come before it', () => {
  const profile: Fleet['profile'] = () => ({
    load: ornsteinUhlenbeck({ mean: 50, deviation: 10, relaxationMs: 5000 }),
    heat: correlated({ field: 'load', gain: 2, offset: 1, lagMs: 0 }),
  });
  for (const { fields } of made(100, { profile })) expect(fields.heat).toBeCloseTo(1 + 2 * (fields.load as number));
});

test('names are unique, sites take turns', () => {
  const fleet = identities(testFleet({ count: 25, sites: ['a', 'b', 'c'] }));
  expect(new Set(fleet.map(({ device }) => device)).size).toBe(25);
  expect(fleet.slice(0, 4).map(({ site }) => site)).toEqual(['a', 'b', 'c', 'a']);
});
