/**
 * The shapes that a field can have. A signal is described once and made anew for each device, from its random stream;
 * what it gives then depends on that stream and the times it is asked for, in order, and on nothing else.
 */
import type { FieldValue } from '../core/reading.ts';
import { gaussian, type Random } from './random.ts';

export interface Moment {
  /** Event time, milliseconds since the epoch. */
  readonly timeMs: number;
  /** Since the start of the run, milliseconds. */
  readonly elapsedMs: number;
  /** The fields of the same message that come before this one. */
  readonly values: Readonly<Record<string, FieldValue>>;
}

export type Samples<T extends FieldValue = FieldValue> = (at: Moment) => T;
export type Signal<T extends FieldValue = FieldValue> = (random: Random) => Samples<T>;

const hourMs = 3_600_000;

export function constant<T extends FieldValue>(value: T): Signal<T> {
  return () => () => value;
}

/** Each device starts somewhere in the period of its own. */
export function sine(shape: { mean: number; amplitude: number; periodMs: number }): Signal<number> {
  return (random) => {
    const phase = random();
    return ({ elapsedMs }) =>
      shape.mean + shape.amplitude * Math.sin(2 * Math.PI * (elapsedMs / shape.periodMs + phase));
  };
}

/** One wave a day by the clock (UTC), the same for all devices. */
export function daily(shape: { mean: number; amplitude: number; peakHour: number }): Signal<number> {
  return () => {
    return ({ timeMs }) => {
      const hours = timeMs / hourMs - shape.peakHour;
      return shape.mean + shape.amplitude * Math.cos((2 * Math.PI * hours) / 24);
    };
  };
}

/** Steps of `perSecond` standard deviation each second, turned back at the bounds. */
export function randomWalk(shape: { start: number; perSecond: number; min: number; max: number }): Signal<number> {
  return (random) => {
    let value = shape.start;
    let lastMs = 0;
    return ({ elapsedMs }) => {
      const seconds = Math.max(0, elapsedMs - lastMs) / 1000;
      lastMs = elapsedMs;
      value = reflect(value + shape.perSecond * Math.sqrt(seconds) * gaussian(random), shape.min, shape.max);
      return value;
    };
  };
}

/** Drawn back to its mean, the more the further it is off; `deviation` is how far it strays, `relaxationMs` how fast it returns. */
export function ornsteinUhlenbeck(shape: { mean: number; deviation: number; relaxationMs: number }): Signal<number> {
  return (random) => {
    let offset = shape.deviation * gaussian(random);
    let lastMs: number | null = null;
    return ({ elapsedMs }) => {
      // Exact for any distance between two samples, unlike a step of Euler's.
      const kept = Math.exp(-Math.max(0, elapsedMs - (lastMs ?? elapsedMs)) / shape.relaxationMs);
      lastMs = elapsedMs;
      offset = offset * kept + shape.deviation * Math.sqrt(1 - kept * kept) * gaussian(random);
      return shape.mean + offset;
    };
  };
}

/**
 * Follows another field: `offset + gain · value`, approached with the time constant `lagMs` (63 % of a jump after one, 95 %
 * after three). A boolean counts as 0 or 1; a text or a missing value leaves it where it is.
 */
export function correlated(shape: { field: string; gain: number; offset: number; lagMs: number }): Signal<number> {
  return () => {
    let value: number | null = null;
    let lastMs = 0;
    return ({ elapsedMs, values }) => {
      const other = Number(values[shape.field] ?? Number.NaN);
      if (!Number.isNaN(other)) {
        const target = shape.offset + shape.gain * other;
        const part = shape.lagMs === 0 ? 1 : -Math.expm1(-(elapsedMs - lastMs) / shape.lagMs);
        value = value === null ? target : value + (target - value) * part;
      }
      lastMs = elapsedMs;
      return value ?? shape.offset;
    };
  };
}

/** Holds a level for `holdMs` on average, then another one. */
export function step<T extends FieldValue>(shape: { levels: readonly T[]; holdMs: number }): Signal<T> {
  return (random) => {
    const holdMs = () => -Math.log(1 - random()) * shape.holdMs;
    let level = 0;
    let untilMs = holdMs();
    return ({ elapsedMs }) => {
      while (elapsedMs >= untilMs) {
        level = (level + 1 + Math.floor(random() * (shape.levels.length - 1))) % shape.levels.length;
        untilMs += holdMs();
      }
      return shape.levels[level]!;
    };
  };
}

/** Counts up, and starts again at 0 every `resetEveryMs` as a device does that restarts. */
export function counter(shape: { perSecond: number; resetEveryMs: number }): Signal<number> {
  return () => {
    return ({ elapsedMs }) => Math.floor(((elapsedMs % shape.resetEveryMs) / 1000) * shape.perSecond);
  };
}

/** 0, but for a round hump of `height` that begins after `firstMs` and then every `everyMs`, and lasts `lastsMs`. */
export function spike(shape: { height: number; firstMs: number; everyMs: number; lastsMs: number }): Signal<number> {
  return () => {
    return ({ elapsedMs }) => {
      const sinceMs = elapsedMs - shape.firstMs;
      if (sinceMs < 0) return 0;
      const intoMs = sinceMs % shape.everyMs;
      return intoMs >= shape.lastsMs ? 0 : shape.height * Math.sin((Math.PI * intoMs) / shape.lastsMs);
    };
  };
}

/** From one level towards another, half of the way in each half-life. */
export function decay(shape: { from: number; to: number; halfLifeMs: number }): Signal<number> {
  return () => {
    return ({ elapsedMs }) => shape.to + (shape.from - shape.to) * 0.5 ** (elapsedMs / shape.halfLifeMs);
  };
}

/** What a real sensor adds to everything. */
export function noise(deviation: number): Signal<number> {
  return (random) => () => deviation * gaussian(random);
}

export function sum(signals: readonly Signal<number>[]): Signal<number> {
  return (random) => sumOf(signals.map((signal) => signal(random)));
}

/** Apart from what made its samples, which a large fleet would else hold for every device. */
function sumOf(samples: readonly Samples<number>[]): Samples<number> {
  return (at) => {
    let total = 0;
    for (const sample of samples) total += sample(at);
    return total;
  };
}

/** As finely as the sensor resolves. Leaves alone what is no number. */
export function rounded(decimals: number, signal: Signal): Signal {
  const scale = 10 ** decimals;
  return (random) => roundedOf(scale, signal(random));
}

function roundedOf(scale: number, sample: Samples): Samples {
  return (at) => {
    const value = sample(at);
    // + 0: JSON knows no -0, and what is reported is to be what was sent.
    return typeof value === 'number' ? Math.round(value * scale) / scale + 0 : value;
  };
}

/** Puts a value that is past a bound as far inside of it, and on the bound if that is past the other one. */
function reflect(value: number, min: number, max: number): number {
  const turned = value < min ? 2 * min - value : value > max ? 2 * max - value : value;
  return Math.min(max, Math.max(min, turned));
}
