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

  test('percentiles of very many values are within a rank of half a per cent', () => {
    const values = pressures(20_000);
    const { p50, p95, p99 } = foldOf(values).summary();
    const sorted = values.toSorted((a, b) => a - b);
    for (const [estimate, q] of [
      [p50, 0.5],
      [p95, 0.95],
      [p99, 0.99],
    ] as const) {
      const rank = sorted.filter((value) => value <= estimate).length / sorted.length;
      expect(Math.abs(rank - q)).toBeLessThan(0.005);
    }
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
