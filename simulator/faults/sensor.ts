/** What sensors do wrong: the message is in order, its values are not. Nothing but rules can tell, so they are stored. */
import { gaussian, type Random } from '../random.ts';
import type { Draft, Effect } from './draft.ts';
import type { Fault, FaultName } from './spec.ts';

export type SensorFault = Fault<Extract<FaultName, `sensor.${string}`>>;

const minuteMs = 60_000;
const dayMs = 86_400_000;

/** `typeKnownOnDay`: the last day (UTC) on which the device sent a message as it should be, `null` before the first. */
export function sensorEffect(spec: SensorFault, random: Random, typeKnownOnDay: () => number | null): Effect {
  switch (spec.fault) {
    case 'sensor.drift':
      return (draft, sinceMs) => {
        const minutes = (draft.measured.elapsedMs - sinceMs) / minuteMs;
        return eachNumber(draft, spec.field, (value) => value + spec.perMinute * minutes);
      };
    case 'sensor.spike':
      return (draft) => eachNumber(draft, spec.field, (value) => value + spec.height);
    case 'sensor.stuck':
      return stuck(spec);
    case 'sensor.noise':
      return (draft) => eachNumber(draft, spec.field, (value) => value + spec.deviation * gaussian(random));
    case 'sensor.clipping':
      return (draft) => eachNumber(draft, spec.field, (value) => clipped(value, spec));
    case 'sensor.null':
      return (draft) => eachField(draft, spec.field, () => null);
    case 'sensor.unit_flip':
      return (draft) => eachNumber(draft, spec.field, (value) => value * spec.factor + spec.offset);
    case 'sensor.type_flip':
      return (draft) => typeFlip(draft, spec, typeKnownOnDay());
  }
}

/** Says again what it said first. */
function stuck({ field }: Fault<'sensor.stuck'>): Effect {
  let values: Draft['fields'] = {};
  let heldSinceMs: number | null = null;
  return (draft, sinceMs) => {
    if (heldSinceMs !== sinceMs) {
      heldSinceMs = sinceMs;
      values = { ...draft.fields };
    }
    return eachNumber(draft, field, (value, name) => {
      const held = values[name];
      return typeof held === 'number' ? held : value;
    });
  };
}

function clipped(value: number, { min = Number.NEGATIVE_INFINITY, max = Number.POSITIVE_INFINITY }): number {
  return Math.min(max, Math.max(min, value));
}

/**
 * A number as text. A store has one type for a field, and InfluxDB has it per day (UTC): the text is refused when a number
 * was there before. Where that is not sure the value is left as it is.
 */
function typeFlip(draft: Draft, { field }: Fault<'sensor.type_flip'>, typeKnownOnDay: number | null): boolean {
  if (draft.ts === null || typeKnownOnDay !== dayOf(draft.ts)) return false;
  const isFlipped = eachField(draft, field, (value) => (typeof value === 'number' ? String(value) : value));
  if (isFlipped && draft.expect.as === 'stored') draft.expect = { as: 'dead_letter', reason: 'refused_type_conflict' };
  return isFlipped;
}

export function dayOf(timeMs: number): number {
  return Math.floor(timeMs / dayMs);
}

function eachNumber(draft: Draft, field: string | undefined, change: (value: number, name: string) => number): boolean {
  // + 0: JSON knows no -0, and what is reported is to be what was sent.
  return eachField(draft, field, (value, name) => (typeof value === 'number' ? change(value, name) + 0 : value));
}

/** The given field, else every one that holds a number. Whether any value is another one now. */
function eachField(
  { fields }: Draft,
  field: string | undefined,
  change: (value: Draft['fields'][string], name: string) => Draft['fields'][string],
): boolean {
  let isChanged = false;
  for (const [name, value] of Object.entries(fields)) {
    if (field === undefined ? typeof value !== 'number' : name !== field) continue;
    const next = change(value, name);
    if (next === value) continue;
    fields[name] = next;
    isChanged = true;
  }
  return isChanged;
}
