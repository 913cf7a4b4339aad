/** The shapes, each by what makes it one; and that a seed decides all of it. */
import { describe, expect, test } from 'vitest';
import type { FieldValue } from '../../core/reading.ts';
import { randomStream } from '../../simulator/random.ts';
import {
  constant,
  counter,
  daily,
  decay,
  noise,
  randomWalk,
  type Signal,
  sine,
  spike,
  step,
  sum,
} from '../../simulator/signals.ts';

const startMs = Date.UTC(2026, 0, 1);
const minuteMs = 60_000;
const hourMs = 60 * minuteMs;

/** One sample every `everyMs` over `lastsMs`. */
function sampled<T extends FieldValue>(signal: Signal<T>, lastsMs: number, everyMs: number, seed = 1): T[] {
  const samples = signal(randomStream(seed, 'test'));
  return Array.from({ length: lastsMs / everyMs }, (_, n) =>
    samples({ timeMs: startMs + n * everyMs, elapsedMs: n * everyMs }),
  );
}

const mean = (values: readonly number[]) => values.reduce((total, value) => total + value, 0) / values.length;
const covariance = (x: readonly number[], y: readonly number[]) => {
  const [meanX, meanY] = [mean(x), mean(y)];
  return mean(x.map((value, i) => (value - meanX) * (y[i]! - meanY)));
};
const deviation = (values: readonly number[]) => Math.sqrt(covariance(values, values));
const drops = (values: readonly number[]) => values.filter((value, i) => i > 0 && value < values[i - 1]!).length;

const shapes: [string, Signal][] = [
  ['constant', constant(4)],
  ['sine', sine({ mean: 10, amplitude: 3, periodMs: minuteMs })],
  ['daily', daily({ mean: 60, amplitude: 5, peakHour: 15 })],
  ['randomWalk', randomWalk({ start: 0, perSecond: 1, min: -5, max: 5 })],
  ['step', step({ levels: ['off', 'low', 'high'], holdMs: 10_000 })],
  ['counter', counter({ perSecond: 10, resetEveryMs: minuteMs })],
  ['spike', spike({ height: 9, firstMs: 10_000, everyMs: minuteMs, lastsMs: 20_000 })],
  ['decay', decay({ from: 100, to: 20, halfLifeMs: minuteMs })],
  ['noise', noise(2)],
];

test.each(shapes)('%s: the same stream and times give the same values', (_name, signal) => {
  expect(sampled(signal, hourMs, 1000)).toEqual(sampled(signal, hourMs, 1000));
});

test.each(shapes.filter(([name]) => ['sine', 'randomWalk', 'step', 'noise'].includes(name)))(
  '%s: another stream gives others',
  (_name, signal) => {
    expect(sampled(signal, hourMs, 1000, 2)).not.toEqual(sampled(signal, hourMs, 1000, 1));
  },
);

describe('shape', () => {
  test('a sine swings about its mean by its amplitude, once in its period', () => {
    const values = sampled(sine({ mean: 10, amplitude: 3, periodMs: minuteMs }), 10 * minuteMs, 100);
    expect(mean(values)).toBeCloseTo(10, 6);
    expect(Math.max(...values)).toBeCloseTo(13, 3);
    expect(Math.min(...values)).toBeCloseTo(7, 3);
    const rising = values.filter((value, i) => i > 0 && values[i - 1]! < 10 && value >= 10);
    expect(rising).toHaveLength(10);
  });

  test('a daily wave has its peak at its hour, by the clock and not by the start of the run', () => {
    const samples = daily({ mean: 60, amplitude: 5, peakHour: 15 })(randomStream(1));
    const at = (hour: number) => samples({ timeMs: startMs + hour * hourMs, elapsedMs: 0 });
    expect([at(15), at(3), at(9), at(39)].map((value) => Math.round(value * 1e6) / 1e6)).toEqual([65, 55, 60, 65]);
  });

  test('a random walk takes steps of its size, stays in its bounds, and reaches them', () => {
    const values = sampled(randomWalk({ start: 0, perSecond: 1, min: -5, max: 5 }), 5 * hourMs, 1000);
    expect(Math.max(...values)).toBeLessThanOrEqual(5);
    expect(Math.min(...values)).toBeGreaterThanOrEqual(-5);
    expect(Math.max(...values)).toBeGreaterThan(4.5);
    expect(Math.min(...values)).toBeLessThan(-4.5);
    const free = sampled(randomWalk({ start: 0, perSecond: 1, min: -1e9, max: 1e9 }), 5 * hourMs, 1000);
    const steps = free.slice(1).map((value, i) => value - free[i]!);
    expect(deviation(steps)).toBeCloseTo(1, 1);
  });

  test('a walk sampled less often spreads as far', () => {
    const steps = (everyMs: number) => {
      const values = sampled(randomWalk({ start: 0, perSecond: 1, min: -1e9, max: 1e9 }), 5 * hourMs, everyMs);
      return values.slice(1).map((value, i) => value - values[i]!);
    };
    expect(deviation(steps(4000)) / deviation(steps(1000))).toBeCloseTo(2, 0);
  });

  test('a step holds its levels, visits all, and changes about as often as told', () => {
    const values = sampled(step({ levels: ['off', 'low', 'high'], holdMs: 10_000 }), 5 * hourMs, 100);
    expect(new Set(values)).toEqual(new Set(['off', 'low', 'high']));
    const changes = values.filter((value, i) => i > 0 && value !== values[i - 1]).length;
    expect(changes).toBeGreaterThan(1600);
    expect(changes).toBeLessThan(2000);
  });

  test('a counter only grows, but for its resets to 0', () => {
    const values = sampled(counter({ perSecond: 10, resetEveryMs: minuteMs }), 5 * minuteMs, 1000);
    expect(values.slice(0, 4)).toEqual([0, 10, 20, 30]);
    expect(drops(values)).toBe(4);
    expect(values[60]).toBe(0);
  });

  test('a spike is 0, but for its hump', () => {
    const values = sampled(
      spike({ height: 9, firstMs: 10_000, everyMs: minuteMs, lastsMs: 20_000 }),
      2 * minuteMs,
      1000,
    );
    const over = values.flatMap((value, second) => (value > 1e-9 ? [second] : []));
    expect([over[0], over[18], over[19], over.at(-1)]).toEqual([11, 29, 71, 89]);
    expect(values[20]).toBeCloseTo(9, 9);
    expect(values[80]).toBeCloseTo(9, 9);
  });

  test('a decay goes half of the way in each half-life', () => {
    const values = sampled(decay({ from: 100, to: 20, halfLifeMs: minuteMs }), 3 * minuteMs, minuteMs);
    expect(values).toEqual([100, 60, 40]);
  });

  test('noise has its deviation', () => {
    const values = sampled(noise(2), 10_000, 1);
    expect(mean(values)).toBeCloseTo(0, 0);
    expect(deviation(values)).toBeCloseTo(2, 1);
  });

  test('a sum adds and rounds', () => {
    expect(sampled(sum(2, constant(1.234), constant(2)), 10, 10)).toEqual([3.23]);
  });
});

test('streams of other names have nothing to do with each other', () => {
  const draws = (...parts: (string | number)[]) => {
    const random = randomStream(...parts);
    return Array.from({ length: 1000 }, random);
  };
  expect(draws(1, 'a')).toEqual(draws(1, 'a'));
  const [a, b, c] = [draws(1, 'a'), draws(1, 'b'), draws(2, 'a')];
  const correlation = (x: number[], y: number[]) => covariance(x, y) / (deviation(x) * deviation(y));
  for (const [x, y] of [
    [a, b],
    [a, c],
    [b, c],
  ] as const)
    expect(Math.abs(correlation(x, y))).toBeLessThan(0.1);
  expect(mean(a)).toBeCloseTo(0.5, 1);
});
