import { describe, expect, test } from 'vitest';
import { StateReader, StateWriter } from '../../processors/codec.ts';
import { Fold } from '../../processors/window/fold.ts';
import { seeded } from './records.ts';

function foldOf(values: readonly number[]): Fold {
  const fold = new Fold();
  for (const [i, value] of values.entries()) fold.add(value, i);
  return fold;
}

function savedAndLoaded(fold: Fold): Fold {
  const to = new StateWriter();
  fold.save(to);
  const loaded = new Fold();
  loaded.load(new StateReader(to.finish()));
  return loaded;
}

/** Pressure around 1013 hPa: a large offset and a small spread, where relative-error sketches fail. */
function pressures(count: number): number[] {
  const random = seeded(5);
  return Array.from({ length: count }, () => 1013 + (random() + random() + random() - 1.5) * 4);
}

const many = 28_800;
const uniform = seeded(11);
const distributions: Record<string, number[]> = {
  pressures: pressures(many),
  uniform: Array.from({ length: many }, uniform),
  'rising counter': Array.from({ length: many }, (_, n) => 1e9 + n),
  falling: Array.from({ length: many }, (_, n) => -n),
  vibration: Array.from({ length: many }, () =>
    Math.exp(3 * Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(6.283 * uniform())),
  ),
  'a few steps': Array.from({ length: many }, () => Math.floor(uniform() * 4)),
  'mostly zero': Array.from({ length: many }, () => (uniform() < 0.97 ? 0 : uniform())),
  'all magnitudes': Array.from({ length: many }, (_, n) => (n % 2 === 0 ? 1 : -1) * 10 ** (uniform() * 12 - 3)),
  huge: Array.from({ length: many }, () => (uniform() * 2 - 1) * 1.7e308),
};

describe('a fold', () => {
  test('one value', () => {
    expect(foldOf([21.5]).summary()).toEqual({
      count: 1,
      sum: 21.5,
      min: 21.5,
      max: 21.5,
      mean: 21.5,
      stddev: 0,
      first: 21.5,
      last: 21.5,
      p50: 21.5,
      p95: 21.5,
      p99: 21.5,
    });
  });

  test('loses no small terms beside large ones', () => {
    expect(foldOf([1e16, ...Array<number>(1000).fill(1), -1e16]).summary().sum).toBe(1000);
  });

  test('the spread of values with a large offset is exact', () => {
    expect(foldOf([1e9 + 4, 1e9 + 7, 1e9 + 13, 1e9 + 16]).summary().stddev).toBeCloseTo(Math.sqrt(30), 9);
  });

  test('first and last go by event time, not by arrival', () => {
    const fold = new Fold();
    fold.add(2, 20);
    fold.add(3, 30);
    fold.add(1, 10);
    expect(fold.summary()).toMatchObject({ first: 1, last: 3 });
  });

  test.each([
    ['all at once', 1],
    ['merged from sixty parts', 60],
    ['merged from 1,440 parts', 1440],
  ])('percentiles of very many values are within half a per cent of the ranks, %s', (_, parts) => {
    for (const [kind, values] of Object.entries(distributions)) {
      const merged = new Fold();
      const size = values.length / parts;
      for (let n = 0; n < parts; n++) merged.merge(foldOf(values.slice(n * size, (n + 1) * size)));
      const summary = merged.summary();
      const sorted = values.toSorted((a, b) => a - b);
      for (const [name, q, slack] of [
        ['p50', 0.5, 0.004],
        ['p95', 0.95, 0.002],
        ['p99', 0.99, 0.001],
      ] as const) {
        const [low, high] = [q - slack, q + slack].map((rank) => sorted[Math.round(rank * (sorted.length - 1))]!);
        expect(summary[name], `${name} of ${kind}`).toBeGreaterThanOrEqual(low! - Math.abs(low!) * 1e-6);
        expect(summary[name], `${name} of ${kind}`).toBeLessThanOrEqual(high! + Math.abs(high!) * 1e-6);
      }
    }
  });

  test('the spread of small noise on a thousand million is right after very many values', { timeout: 120_000 }, () => {
    const count = Number(process.env.SLUICE_FOLD_VALUES ?? 200_000);
    const random = seeded(7);
    const fold = new Fold();
    // Noise in multiples of what the sum is rounded to: 2^-23, so that all of it is exact.
    let [sum, squares] = [0, 0];
    for (let n = 0; n < count; n++) {
      const noise = Math.round((random() + random() - 1) * 1000);
      sum += noise;
      squares += noise * noise;
      fold.add(1e9 + noise * 2 ** -23, n);
    }
    const { mean, stddev, sum: total } = fold.summary();
    const exact = Math.sqrt((squares - (sum * sum) / count) / (count - 1)) * 2 ** -23;
    expect(Math.abs(stddev / exact - 1)).toBeLessThan(1e-9);
    expect(total).toBe(1e9 * count + sum * 2 ** -23);
    expect(mean).toBe(total / count);
  });

  test.each([1, 511, 512, 513, 3000])('saving and loading in between changes nothing, %i values', (count) => {
    const values = pressures(count);
    let fold = new Fold();
    for (const [i, value] of values.entries()) {
      fold.add(value, i);
      if (i % 97 === 0) {
        fold.summary();
        fold = savedAndLoaded(fold);
      }
    }
    expect(savedAndLoaded(fold).summary()).toEqual(foldOf(values).summary());
  });

  test.each([
    [10, 20],
    [300, 400],
    [600, 700],
    [1, 2000],
  ])('two merged tell what one of all values tells: %i and %i', (left, right) => {
    const values = pressures(left + right);
    const merged = foldOf(values.slice(0, left));
    const later = new Fold();
    for (const [i, value] of values.slice(left).entries()) later.add(value, left + i);
    merged.merge(later);
    const [got, whole] = [merged.summary(), foldOf(values).summary()];
    const exact = left + right <= 512;
    expect(got).toMatchObject({
      count: whole.count,
      min: whole.min,
      max: whole.max,
      first: whole.first,
      last: whole.last,
    });
    expect(got.sum).toBeCloseTo(whole.sum, 6);
    expect(got.stddev).toBeCloseTo(whole.stddev, 9);
    expect(got.p95).toBeCloseTo(whole.p95, exact ? 12 : 1);
  });
});
