/** The form of a scenario file. `scenario.schema.json` is made of it, for editors. */
import { z } from 'zod';
import { durationMs } from '../../core/duration.ts';
import { faultSpec } from '../faults/spec.ts';
import { drawnDuration, drawnPeriod, route, signal } from './signal-schema.ts';

const name = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/, 'expected letters, digits, . _ and -, at most 64');
const fieldName = z
  .string()
  .min(1)
  .max(200)
  .refine((text) => text !== 'ts' && text !== 'seq', 'ts and seq are what the simulator adds itself');

const fleet = z.strictObject({
  name,
  count: z.int().min(1).describe('devices'),
  profile: z.string().describe('one of the profiles'),
  sites: z.array(name).min(1).describe('devices are shared out among them in turn'),
  device: z
    .string()
    .regex(/^[^/+#\0]*\{n\}[^/+#\0]*$/, 'expected a name with {n}, the number of the device, and without / + #')
    .optional()
    .describe('names of the devices; default: the name of the fleet, and -{n}'),
  interval: durationMs
    .refine((ms) => ms >= 1, 'expected 1ms or more')
    .default(1000)
    .describe('between two messages of a device'),
  jitter: z.number().min(0).max(1).default(0.1).describe('part of the interval by which a message may come late'),
});

const event = z
  .strictObject({
    at: drawnDuration.describe('when it begins, since the start of the run'),
    for: drawnDuration.optional().describe('how long it lasts; default: until the end'),
    every: drawnPeriod.optional().describe('begins again so long after it began; default: happens once'),
    fleet: z.string().optional().describe('only in this fleet; default: in all that have the field'),
    devices: z.string().min(1).optional().describe('a part such as 10%, or a name with * and ?; default: all'),
    field: z.string(),
    set: signal.optional().describe('takes the place of the value'),
    add: signal.optional().describe('is added; its time counts from the beginning of the event'),
    scale: z.number().optional().describe('multiplies'),
  })
  .refine(
    ({ set, add, scale }) => [set, add, scale].filter((change) => change !== undefined).length === 1,
    'expected one of set, add and scale',
  );

export const scenarioSchema = z.strictObject({
  name,
  description: z.string().min(1),
  seed: z.int().min(0).optional().describe('same seed, same values; default 1'),
  routes: z.record(name, route).default({}).describe('ways on the map, for signals of the kind path'),
  profiles: z.record(name, z.record(fieldName, signal)).describe('what a kind of device measures: field → signal'),
  fleets: z.array(fleet).min(1),
  events: z.array(event).default([]).describe('what happens: changes of what is measured'),
  faults: z.array(faultSpec).default([]).describe('what goes wrong between sensor and broker: docs/faults.md'),
});

export type ScenarioSpec = z.output<typeof scenarioSchema>;
export type FleetSpec = ScenarioSpec['fleets'][number];
export type EventSpec = ScenarioSpec['events'][number];

export function scenarioJsonSchema(): object {
  return { title: 'Sluice scenario', ...z.toJSONSchema(scenarioSchema, { io: 'input', reused: 'ref' }) };
}
