/** The shapes, each by what makes it one; and that a seed decides all of it. */
import { describe, expect, test } from 'vitest';
import type { FieldValue } from '../../core/reading.ts';
import { randomStream } from '../../simulator/random.ts';
import { path, type Way } from '../../simulator/route.ts';
import {
  constant,
  correlated,
  counter,
  daily,
  decay,
  noise,
  ornsteinUhlenbeck,
  randomWalk,
  rounded,
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
    samples({ timeMs: startMs + n * everyMs, elapsedMs: n * everyMs, values: {} }),
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
  ['ornsteinUhlenbeck', ornsteinUhlenbeck({ mean: 10, deviation: 2, relaxationMs: 10_000 })],
];

test.each(shapes)('%s: the same stream and times give the same values', (_name, signal) => {
  expect(sampled(signal, hourMs, 1000)).toEqual(sampled(signal, hourMs, 1000));
});

test.each(shapes.filter(([name]) => ['sine', 'randomWalk', 'step', 'noise', 'ornsteinUhlenbeck'].includes(name)))(
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
    const at = (hour: number) => samples({ timeMs: startMs + hour * hourMs, elapsedMs: 0, values: {} });
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

  test('a sum adds; rounding gives as many decimals as asked, never -0, and leaves texts alone', () => {
    expect(sampled(sum([constant(1.25), constant(2)]), 10, 10)).toEqual([3.25]);
    expect(sampled(rounded(1, constant(3.26)), 10, 10)).toEqual([3.3]);
    expect(Object.is(sampled(rounded(0, constant(-0.2)), 10, 10)[0], 0)).toBe(true);
    expect(sampled(rounded(0, constant('3.26')), 10, 10)).toEqual(['3.26']);
  });

  test.each([100, 1000, 7000])(
    'an Ornstein–Uhlenbeck process strays as far, however often it is asked (%i ms)',
    (everyMs) => {
      const shape = { mean: 10, deviation: 2, relaxationMs: 5000 };
      const values = sampled(ornsteinUhlenbeck(shape), 20_000 * everyMs, everyMs);
      expect(Math.abs(mean(values) - 10)).toBeLessThan(0.5);
      expect(deviation(values)).toBeCloseTo(2, 0);
      // How much of a deviation is left after one sample.
      const kept = covariance(values.slice(1), values.slice(0, -1)) / covariance(values, values);
      expect(kept).toBeCloseTo(Math.exp(-everyMs / shape.relaxationMs), 1);
    },
  );

  test('a correlated field follows the other with its gain, and takes its time', () => {
    const follow = (lagMs: number) => correlated({ field: 'load', gain: 2, offset: 1, lagMs })(randomStream(1));
    const at = (second: number, load: FieldValue) => ({ timeMs: 0, elapsedMs: second * 1000, values: { load } });
    const atOnce = follow(0);
    expect([0, 10, 5].map((load, second) => atOnce(at(second, load)))).toEqual([1, 21, 11]);
    const slow = follow(10_000);
    expect(slow(at(0, 0))).toBe(1);
    // One time constant after a jump from 1 to 21: 63 % of the way, in however many steps.
    for (let second = 1; second < 10; second++) slow(at(second, 10));
    expect(slow(at(10, 10))).toBeCloseTo(1 + 20 * (1 - Math.exp(-1)), 9);
    expect(follow(0)(at(0, true))).toBe(3);
    expect(follow(0)(at(0, 'a text'))).toBe(1);
  });
});

describe('a path on the map', () => {
  // A degree of latitude is 111.195 km: 10 km/s pass it in 11.12 s.
  const way: Way = {
    waypoints: [
      [50, 10],
      [51, 10],
    ],
    isClosed: false,
    metresPerSecond: 10_000,
    start: 0,
  };
  const along = (over: Partial<Way>, gives: 'lat' | 'lon' | 'heading', seconds: number) =>
    path({ ...way, ...over }, gives)(randomStream(1))({ timeMs: 0, elapsedMs: seconds * 1000, values: {} });
  const oneWay = 11.1195;

  test('is passed at its speed, there and back', () => {
    expect(along({}, 'lat', 0)).toBe(50);
    expect(along({}, 'lat', oneWay / 2)).toBeCloseTo(50.5, 3);
    expect(along({}, 'lat', 1.5 * oneWay)).toBeCloseTo(50.5, 3);
    expect(along({}, 'lat', 2 * oneWay)).toBeCloseTo(50, 3);
    expect([along({}, 'heading', 1), along({}, 'heading', oneWay + 1)]).toEqual([0, 180]);
  });

  test('or round and round, from anywhere', () => {
    const square: Partial<Way> = {
      waypoints: [
        [0, 0],
        [0, 1],
        [1, 1],
        [1, 0],
      ],
      isClosed: true,
    };
    expect(along(square, 'heading', 1)).toBeCloseTo(90, 0);
    expect(along({ ...square, start: 0.5 }, 'lat', 0)).toBeCloseTo(1, 2);
    expect(along({ ...square, start: 0.5 }, 'lon', 0)).toBeCloseTo(1, 2);
    expect(along(square, 'lon', 4 * oneWay + oneWay / 2)).toBeCloseTo(0.5, 1);
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
