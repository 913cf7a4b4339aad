/**
 * What can go wrong on purpose, as data: one entry says which fault, how strong, at which devices and when. What each
 * does and what its messages should end as: `docs/faults.md` (a test compares). Durations are milliseconds once parsed.
 */
import { z } from 'zod';
import { durationMs } from '../../core/duration.ts';
import { routeOf } from '../../core/route.ts';

const part = z
  .union([z.number(), z.string()], { error: 'expected a part such as 1%, 0.5% or 0.01' })
  .transform((value, context) => {
    const match = /^(\d+(?:\.\d+)?(?:e-\d+)?)(%?)$/.exec(String(value));
    const parsed = match === null ? Number.NaN : Number(match[1]) / (match[2] === '%' ? 100 : 1);
    if (parsed >= 0 && parsed <= 1) return parsed;
    context.addIssue(`expected a part from 0% to 100% such as 1%, 0.5% or 0.01; got ${JSON.stringify(value)}`);
    return z.NEVER;
  });

const signedMs = z
  .union([z.number(), z.string()], { error: 'expected a duration such as 30s, or -10m for one that goes back' })
  .transform((value, context) => {
    const text = String(value);
    const parsed = durationMs.safeParse(text.replace(/^-/, ''));
    if (parsed.success) return text.startsWith('-') ? -parsed.data : parsed.data;
    context.addIssue(parsed.error.issues[0]!.message);
    return z.NEVER;
  });

const name = z.string().min(1);
const where = {
  fleet: name.optional().describe('only devices of this fleet; default: of all'),
  devices: name.optional().describe('only these: a name with * and ?, or a part of them such as 10%; default: all'),
};
const when = {
  at: durationMs.default(0).describe('when it begins, since the start of the run'),
  for: durationMs.optional().describe('how long it lasts; default: until the end of the run'),
  every: durationMs.optional().describe('begins again so long after it began; default: happens once'),
};
const lasting = { ...when, for: durationMs.describe('how long it lasts') };
/** Hits messages one by one, each with this probability. */
const some = {
  ...where,
  ...when,
  probability: part.default(1).describe('of each message in that time; default: all of them'),
};
const field = { field: name.optional().describe('which field; default: every one with a number') };

const fault = z.discriminatedUnion(
  'fault',
  [
    z.strictObject({
      fault: z.literal('sensor.drift'),
      ...where,
      ...when,
      ...field,
      perMinute: z.number().describe('what is added each minute'),
    }),
    z.strictObject({
      fault: z.literal('sensor.spike'),
      ...some,
      ...field,
      height: z.number().default(50).describe('what is added'),
    }),
    z.strictObject({ fault: z.literal('sensor.stuck'), ...where, ...when, ...field }),
    z.strictObject({
      fault: z.literal('sensor.noise'),
      ...some,
      ...field,
      deviation: z.number().positive().default(1).describe('standard deviation of what is added'),
    }),
    z.strictObject({
      fault: z.literal('sensor.clipping'),
      ...some,
      ...field,
      min: z.number().optional(),
      max: z.number().optional(),
    }),
    z.strictObject({ fault: z.literal('sensor.null'), ...some, ...field }),
    z.strictObject({
      fault: z.literal('sensor.unit_flip'),
      ...some,
      ...field,
      factor: z.number().default(1.8).describe('default: °C as °F'),
      offset: z.number().default(32),
    }),
    z.strictObject({ fault: z.literal('sensor.type_flip'), ...some, ...field }),

    z.strictObject({
      fault: z.literal('clock.skew'),
      ...where,
      ...when,
      perHour: signedMs.describe('what the clock gains each hour; negative: loses'),
    }),
    z.strictObject({
      fault: z.literal('clock.jump'),
      ...where,
      ...when,
      by: signedMs.describe('how far the clock is off meanwhile; negative: behind'),
    }),
    z.strictObject({ fault: z.literal('clock.epoch'), ...some }),
    z.strictObject({ fault: z.literal('clock.seconds'), ...some }),
    z.strictObject({ fault: z.literal('clock.missing'), ...some }),

    z.strictObject({ fault: z.literal('payload.truncated'), ...some }),
    z.strictObject({ fault: z.literal('payload.invalid_utf8'), ...some }),
    z.strictObject({
      fault: z.literal('payload.oversized'),
      ...some,
      bytes: z.int().min(1024).max(1_048_576).default(300_000).describe('more than the broker takes'),
    }),
    z.strictObject({
      fault: z.literal('payload.deep'),
      ...some,
      depth: z.int().min(9).max(1000).default(32).describe('objects inside of each other'),
    }),

    z.strictObject({ fault: z.literal('network.loss'), ...some }),
    z.strictObject({
      fault: z.literal('network.duplicate'),
      ...some,
      copies: z.int().min(2).max(10).default(2).describe('how often it is sent in all'),
    }),
    z.strictObject({ fault: z.literal('network.reorder'), ...some }),
    z.strictObject({
      fault: z.literal('network.delay'),
      ...some,
      by: durationMs.default(5000).describe('sent so much later'),
    }),
    z.strictObject({ fault: z.literal('network.dropout'), ...where, ...lasting }),
    z.strictObject({ fault: z.literal('network.half_open'), ...where, ...lasting }),
    z.strictObject({ fault: z.literal('network.reconnect_storm'), ...where, at: when.at, every: when.every }),

    z.strictObject({ fault: z.literal('security.wrong_password'), ...some }),
    z.strictObject({
      fault: z.literal('security.foreign_topic'),
      ...some,
      topic: name
        .regex(/^[^+#\0$][^+#\0]*$/, 'expected a topic without + and #, that does not begin with $')
        .refine(hasNoRoute, 'expected a topic that the pipeline has no route for')
        .default('foreign/{site}/{device}')
        .describe('one that the pipeline has no route for'),
    }),
  ],
  { error: ({ code }) => (code === 'invalid_union' ? 'expected the name of a fault, see docs/faults.md' : undefined) },
);

export type FaultSpec = z.output<typeof fault>;
export type FaultName = FaultSpec['fault'];
export type Fault<Name extends FaultName> = Extract<FaultSpec, { fault: Name }>;

export const faultNames: readonly FaultName[] = fault.options.map(({ shape }) => shape.fault.value);

export const faultSpec = fault.superRefine((spec, context) => {
  const { every } = spec;
  const lastsMs = spec.fault === 'network.reconnect_storm' ? 0 : spec.for;
  if (every !== undefined && (lastsMs === undefined || every <= lastsMs)) {
    context.addIssue({ code: 'custom', path: ['every'], message: 'expected a `for`, and more than that' });
  }
  if (spec.fault === 'sensor.clipping' && spec.min === undefined && spec.max === undefined) {
    context.addIssue({ code: 'custom', message: 'expected a min, a max or both' });
  }
});

/** Short names of what other tools call so. */
const aliases: Readonly<Record<string, FaultName>> = {
  drop: 'network.loss',
  dup: 'network.duplicate',
  ooo: 'network.reorder',
};

/**
 * Reads `drop=1%,dup=2%,sensor.spike=0.5%`: faults that hit single messages, with their probability. Returns the faults,
 * and every problem in words.
 */
export function parseShortFaults(text: string): { faults: FaultSpec[]; problems: string[] } {
  const faults: FaultSpec[] = [];
  const problems: string[] = [];
  for (const entry of text.split(',').map((one) => one.trim())) {
    const [short, probability, ...rest] = entry.split('=');
    const found = aliases[short!] ?? faultNames.find((known) => known === short || known.split('.')[1] === short);
    if (found === undefined || probability === undefined || rest.length > 0) {
      problems.push(`${JSON.stringify(entry)}: expected a fault and its probability, such as drop=1% or spike=0.5%`);
    } else if (!('probability' in shapeOf(found)) || found === 'sensor.clipping') {
      problems.push(`${short}: ${found} needs more than a probability: put it into the faults of a scenario`);
    } else {
      const parsed = faultSpec.safeParse({ fault: found, probability });
      if (parsed.success) faults.push(parsed.data);
      else problems.push(...parsed.error.issues.map(({ message }) => `${short}: ${message}`));
    }
  }
  return { faults, problems };
}

function hasNoRoute(topic: string): boolean {
  return routeOf(topic.replaceAll('{site}', 'site').replaceAll('{device}', 'device')) === null;
}

function shapeOf(name: FaultName) {
  return fault.options.find(({ shape }) => shape.fault.value === name)!.shape;
}
