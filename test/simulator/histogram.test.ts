/** Latencies: exact below 2,048 ms, three digits above, whatever is added. */
import { expect, test } from 'vitest';
import { Histogram } from '../../simulator/histogram.ts';
import { randomStream } from '../../simulator/random.ts';

test('every quantile is that of the sorted values, and at most a thousandth above', () => {
  const random = randomStream(1, 'histogram');
  const values = Array.from({ length: 20_000 }, () => Math.floor(10 ** (random() * 7)));
  const histogram = new Histogram();
  for (const value of values) histogram.add(value);
  values.sort((a, b) => a - b);
  for (const q of [0, 0.001, 0.1, 0.5, 0.9, 0.99, 0.999, 1]) {
    const exact = values[Math.max(0, Math.ceil(values.length * q) - 1)]!;
    const found = histogram.quantile(q)!;
    expect(found, `${q}`).toBeGreaterThanOrEqual(exact);
    expect(found, `${q}`).toBeLessThanOrEqual(exact < 2048 ? exact : exact * 1.001);
  }
  const { count, mean } = histogram.quantiles()!;
  expect(count).toBe(20_000);
  expect(mean).toBeCloseTo(values.reduce((total, value) => total + value, 0) / 20_000, 1);
});

test('negative is 0, more than a day is a day, and a part of a millisecond is rounded', () => {
  const histogram = new Histogram();
  for (const value of [-5, 0.4, 1.6, 1e12]) histogram.add(value);
  expect(histogram.slots().map(([, count]) => count)).toEqual([2, 1, 1]);
  expect(histogram.quantiles()).toMatchObject({ min: 0, p50: 0 });
  expect(histogram.quantile(1)! / 86_400_000).toBeCloseTo(1, 3);
});

test('what was added since a copy is told apart; the copy stays as it was', () => {
  const histogram = new Histogram();
  expect([histogram.quantiles(), histogram.quantile(0.5)]).toEqual([null, null]);
  histogram.add(100);
  const copy = histogram.copy();
  expect(histogram.since(copy).quantiles()).toBeNull();
  histogram.add(5);
  histogram.add(7);
  expect(histogram.since(copy).quantiles()).toMatchObject({ count: 2, min: 5, mean: 6, max: 7 });
  expect(copy.quantiles()).toMatchObject({ count: 1, max: 100 });
});
