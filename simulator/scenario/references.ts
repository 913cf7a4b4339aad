/**
 * Names in a scenario that lead nowhere. Read leniently: what is wrong otherwise has its own error, and does not hide
 * these.
 */
import { z } from 'zod';
import type { Problem } from './parse.ts';

const text = z.string().optional().catch(undefined);
const reference = z
  .looseObject({ field: text, fleet: text, set: z.unknown().optional(), add: z.unknown().optional() })
  .catch({});
const record = z.record(z.string(), z.unknown()).catch({});
const outline = z.object({
  routes: record,
  profiles: z.record(z.string(), record).catch({}),
  fleets: z.array(z.object({ name: text, profile: text, device: text }).catch({})).catch([]),
  events: z.array(reference).catch([]),
  faults: z.array(reference).catch([]),
});
type Outline = z.output<typeof outline>;

export function wrongReferences(content: unknown): Problem[] {
  const read = outline.safeParse(content ?? {});
  if (!read.success) return [];
  return [...ofFleets(read.data), ...ofProfiles(read.data), ...ofChanges(read.data)];
}

function ofFleets({ fleets, profiles }: Outline): Problem[] {
  const problems: Problem[] = [];
  for (const [i, { name, profile, device }] of fleets.entries()) {
    if (profile !== undefined && !(profile in profiles)) {
      problems.push({ path: ['fleets', i, 'profile'], message: `no profile is named ${profile}${known(profiles)}` });
    }
    const earlier = fleets.slice(0, i);
    if (name !== undefined && earlier.some((other) => other.name === name)) {
      problems.push({ path: ['fleets', i, 'name'], message: `two fleets are named ${name}` });
    }
    const names = device ?? `${name}-{n}`;
    if (name !== undefined && earlier.some((other) => (other.device ?? `${other.name}-{n}`) === names)) {
      problems.push({ path: ['fleets', i, 'device'], message: `another fleet names its devices ${names} too` });
    }
  }
  return problems;
}

function ofProfiles({ profiles, routes }: Outline): Problem[] {
  return Object.entries(profiles).flatMap(([profile, fields]) => [
    ...Object.entries(fields).flatMap(([field, spec]) => {
      const path = ['profiles', profile, field];
      return [...ofSignal(spec, path, fields, routes), ...ofName(field, path, fields)];
    }),
    ...circles(fields).map((field) => ({
      path: ['profiles', profile, field],
      message: 'follows itself: correlated fields must not lead back to where they began',
    })),
  ]);
}

/** `json-nested` makes an object of `motor.rpm`, so that `motor` can't have a value too. */
function ofName(field: string, path: string[], fields: Outline['routes']): Problem[] {
  const inside = Object.keys(fields).find((other) => other.startsWith(`${field}.`));
  return inside === undefined ? [] : [{ path, message: `${inside} needs an object of that name` }];
}

function ofSignal(spec: unknown, path: PropertyKey[], fields: object, routes: object): Problem[] {
  return partsOf(spec).flatMap(({ part, at }) => {
    if (part.signal === 'path' && typeof part.route === 'string' && !(part.route in routes)) {
      const message = `no route is named ${part.route}${known(routes)}`;
      return [{ path: [...path, ...at, 'route'], message }];
    }
    if (part.signal === 'correlated' && typeof part.field === 'string' && !(part.field in fields)) {
      const message = `the profile has no field ${part.field}${known(fields)}`;
      return [{ path: [...path, ...at, 'field'], message }];
    }
    return [];
  });
}

function ofChanges({ events, faults, fleets, profiles, routes }: Outline): Problem[] {
  const of = (kind: string, list: Outline['events']) =>
    list.flatMap(({ fleet, field, set, add }, i) => {
      const aimedAt = fleets.filter(({ name }) => fleet === undefined || name === fleet);
      if (aimedAt.length === 0 && fleet !== undefined) {
        const names = Object.fromEntries(fleets.map(({ name }) => [name, true]));
        return [{ path: [kind, i, 'fleet'], message: `no fleet is named ${fleet}${known(names)}` }];
      }
      const fields = Object.assign({}, ...aimedAt.map(({ profile }) => profiles[profile ?? '']));
      const missing = field !== undefined && !(field in fields);
      return [
        ...(missing ? [{ path: [kind, i, 'field'], message: `no such field there${known(fields)}` }] : []),
        ...ofSignal(set, [kind, i, 'set'], fields, routes),
        ...ofSignal(add, [kind, i, 'add'], fields, routes),
      ];
    });
  return [...of('events', events), ...of('faults', faults)];
}

/** The fields that follow themselves, by any number of others. */
function circles(fields: Readonly<Record<string, unknown>>): string[] {
  const followed = (field: string) =>
    partsOf(fields[field]).flatMap(({ part }) => (typeof part.field === 'string' ? [part.field] : []));
  return Object.keys(fields).filter((field) => {
    const reached = new Set<string>();
    const open = followed(field);
    for (let next = open.pop(); next !== undefined; next = open.pop()) {
      if (!reached.has(next)) open.push(...followed(next));
      reached.add(next);
    }
    return reached.has(field);
  });
}

const part = z.looseObject({ signal: text, field: text, route: text, of: z.array(z.unknown()).catch([]) });

/** A signal and the parts of its sum, with the path to each. */
function partsOf(spec: unknown): { part: z.output<typeof part>; at: PropertyKey[] }[] {
  const read = part.safeParse(spec);
  if (!read.success) return [];
  const parts = read.data.of.flatMap((inner, i) =>
    partsOf(inner).map(({ part, at }) => ({ part, at: ['of', i, ...at] })),
  );
  return [{ part: read.data, at: [] }, ...parts];
}

function known(names: object): string {
  const list = Object.keys(names);
  return list.length === 0 ? '' : `; there are ${list.join(', ')}`;
}
