/** Signals as data: what `signals.ts` and `route.ts` can do, as a scenario says it. */
import { z } from 'zod';
import { durationMs } from '../../core/duration.ts';

const number = z
  .union(
    [z.number(), z.strictObject({ between: z.tuple([z.number(), z.number()]) })],
    'expected a number, or { between: [a, b] }',
  )
  .describe('a number, or { between: [a, b] }: each device draws its own');
const duration = z
  .union(
    [durationMs, z.strictObject({ between: z.tuple([durationMs, durationMs]) })],
    'expected a duration such as 10s, or { between: [5m, 10m] }',
  )
  .describe('such as 500ms, 10s, 5m, 1h, 7d, or { between: [5m, 10m] }: each device draws its own');
const some = durationMs.refine((ms) => ms > 0, 'expected more than 0');
const period = z
  .union(
    [some, z.strictObject({ between: z.tuple([some, some]) })],
    'expected a duration such as 10s, or { between: [5m, 10m] }',
  )
  .describe('over 0, such as 500ms, 10s, 5m, 1h, 7d, or { between: [5m, 10m] }: each device draws its own');
const value = z.union(
  [number, z.boolean(), z.string()],
  'expected a number, a boolean, a text, or { between: [a, b] }',
);

export type Drawn = z.output<typeof number>;
export { duration as drawnDuration, period as drawnPeriod };

const rounding = { decimals: z.int().min(0).max(10).optional().describe('how finely the sensor resolves; default 3') };

const plainSignals = [
  z.strictObject({ signal: z.literal('constant'), value, ...rounding }),
  z.strictObject({ signal: z.literal('sine'), mean: number, amplitude: number, period, ...rounding }),
  z.strictObject({
    signal: z.literal('daily'),
    mean: number,
    amplitude: number,
    peakHour: number.describe('hour of the day, UTC, of the highest value'),
    ...rounding,
  }),
  z.strictObject({
    signal: z.literal('random_walk'),
    start: number,
    perSecond: number.describe('standard deviation of the step of a second'),
    min: number,
    max: number,
    ...rounding,
  }),
  z.strictObject({
    signal: z.literal('ornstein_uhlenbeck'),
    mean: number,
    deviation: number.describe('how far it strays from the mean'),
    relaxation: period.describe('how fast it returns'),
    ...rounding,
  }),
  z.strictObject({
    signal: z.literal('step'),
    levels: z.array(value).min(1),
    hold: period.describe('how long it holds a level, on average'),
    ...rounding,
  }),
  z.strictObject({
    signal: z.literal('counter'),
    perSecond: number,
    resetEvery: period.optional().describe('starts again at 0; default: never'),
    ...rounding,
  }),
  z.strictObject({
    signal: z.literal('spike'),
    height: number,
    first: duration.describe('when the first hump begins'),
    every: period,
    lasts: period,
    ...rounding,
  }),
  z.strictObject({ signal: z.literal('decay'), from: number, to: number, halfLife: period, ...rounding }),
  z.strictObject({ signal: z.literal('noise'), deviation: number, ...rounding }),
  z.strictObject({
    signal: z.literal('path'),
    route: z.string().describe('one of the routes'),
    gives: z.enum(['lat', 'lon', 'heading']),
    ...rounding,
  }),
  z.strictObject({
    signal: z.literal('correlated'),
    field: z.string().describe('the field of the same profile that it follows'),
    gain: number.default(1),
    offset: number.default(0),
    lag: duration.default(0).describe('time constant with which it follows'),
    ...rounding,
  }),
] as const;

const unknownSignal = (kinds: readonly string[]) => ({
  error: ({ code }: { code?: string }) =>
    code === 'invalid_union' ? `expected a signal: ${kinds.join(', ')}` : undefined,
});
const kinds = plainSignals.map(({ shape }) => shape.signal.value);
export const signalKinds = [...kinds, 'sum'];

const part = z.union(
  [number, z.discriminatedUnion('signal', plainSignals, unknownSignal(kinds))],
  'expected a number, or { signal: … }',
);
const sum = z.strictObject({ signal: z.literal('sum'), of: z.array(part).min(1), ...rounding });

/** A field: its value, or the signal that gives it. */
export const signal = z.union(
  [value, z.discriminatedUnion('signal', [...plainSignals, sum], unknownSignal(signalKinds))],
  'expected a value, or { signal: … }',
);
export type SignalSpec = z.output<typeof signal>;

const place = z.tuple([z.number().min(-90).max(90), z.number().min(-180).max(180)]);
const speed = z.number().min(0);
const share = z.number().min(0).max(1);
const range = <T extends z.ZodType<number>>(of: T, expected: string) =>
  z.union([of, z.strictObject({ between: z.tuple([of, of]) })], `expected ${expected}, or { between: [a, b] }`);

export const route = z.strictObject({
  waypoints: z
    .array(place)
    .min(2)
    .refine(
      (places) => places.some(([lat, lon]) => lat !== places[0]![0] || lon !== places[0]![1]),
      'expected two places',
    )
    .describe('[latitude, longitude] in degrees'),
  closed: z.boolean().default(false).describe('true: from the last on to the first; false: back the way it came'),
  speedKmh: range(speed, 'a number of at least 0'),
  start: range(share, 'a number from 0 to 1')
    .default(0)
    .describe('the part of the route that lies behind at the start'),
});
export type RouteSpec = z.output<typeof route>;
