/**
 * `windows:` in `sluice.yaml`: windows beside the built-in rollups, each entry with a measurement of its own. What an
 * entry means is in `docs/processing.md`, "Windows of your own".
 */
import { z } from 'zod';
import { durationMs } from './duration.ts';

export const aggregates = [
  'count',
  'sum',
  'min',
  'max',
  'mean',
  'stddev',
  'first',
  'last',
  'p50',
  'p95',
  'p99',
  'rate',
  'increase',
] as const;
export type Aggregate = (typeof aggregates)[number];

const maxWindows = 16;
/** A hopping window is put together of slices as long as its advance, each time it is written. */
const maxSlices = 1440;
const dayMs = 86_400_000;
const maxSizeMs = 366 * dayMs;

const name = z
  .string({ error: 'expected a name for the measurement, such as energy_15m' })
  .regex(/^[a-z][a-z0-9_]{0,63}$/, 'expected a–z, 0–9 and _, a letter first, at most 64 characters')
  .refine((text) => !/^(telemetry|alerts)$|^(rollup|state)_/.test(text), {
    error: ({ input }) => `${input} is, or may become, a measurement of Sluice's own; take another name`,
  });

const length = durationMs.refine((ms) => ms >= 1000 && ms % 1000 === 0 && ms <= maxSizeMs, {
  error: 'expected whole seconds, from 1s to 366d',
});

/** Days follow the time zone, and are not all of one length. */
const isWholeDays = (ms: number) => ms % dayMs === 0;

const common = {
  name,
  /** Patterns of field names. */
  fields: z
    .array(z.string().min(1).max(200), { error: 'expected a list of field names; * and ? are wildcards' })
    .min(1, 'give at least one field, or leave it out for all')
    .max(100, 'at most 100')
    .default(['*']),
  aggregates: z
    .array(z.enum(aggregates, { error: `expected one of ${aggregates.join(', ')}` }), {
      error: `expected a list of ${aggregates.join(', ')}`,
    })
    .min(1, `give at least one of ${aggregates.join(', ')}`)
    .refine((list) => new Set(list).size === list.length, 'names an aggregate twice'),
};

const tumbling = z.strictObject({
  ...common,
  type: z.literal('tumbling'),
  size: length.refine((ms) => !isWholeDays(ms) || ms === dayMs, {
    error: 'of sizes that are whole days there is 1d only: take 1d, or a size such as 36h',
  }),
});

const hopping = z
  .strictObject({
    ...common,
    type: z.literal('hopping'),
    size: length.refine((ms) => !isWholeDays(ms), {
      error: 'whole days follow the time zone and cannot hop: take a size such as 23h, or type: tumbling with 1d',
    }),
    advance: length,
  })
  .refine(({ size, advance }) => size % advance === 0, {
    path: ['advance'],
    error: 'size must be a multiple of advance',
  })
  .refine(({ size, advance }) => size / advance <= maxSlices, {
    path: ['advance'],
    error: `size may be at most ${maxSlices} times advance: advance by more`,
  });

const session = z.strictObject({
  ...common,
  type: z.literal('session'),
  gap: durationMs.refine((ms) => ms >= 1 && Number.isInteger(ms) && ms <= dayMs, {
    error: 'expected whole milliseconds, from 1ms to 1d: after a day a session is cut',
  }),
});

export const windowsSchema = z
  .array(
    z.discriminatedUnion('type', [tumbling, hopping, session], {
      error: 'expected { name, type: tumbling | hopping | session, … }; docs/processing.md has examples',
    }),
    { error: 'expected a list of windows; docs/processing.md has examples' },
  )
  .max(maxWindows, `at most ${maxWindows} windows`)
  .superRefine((windows, context) => {
    const names = windows.map((window) => window.name);
    names.forEach((name, i) => {
      const first = names.indexOf(name);
      if (first === i) return;
      context.addIssue({
        code: 'custom',
        path: [i, 'name'],
        message: `windows.${first} has the name ${name} too; a name is a measurement, give each its own`,
      });
    });
  });

/** One entry, checked. Lengths in milliseconds. */
export type WindowSpec = z.output<typeof windowsSchema>[number];
