/** Data to signals: what a scenario says of a field, made into what a device measures. */
import type { FieldValue } from '../../core/reading.ts';
import type { DeviceIdentity, Profile } from '../fleet.ts';
import { type Random, randomStream } from '../random.ts';
import { path } from '../route.ts';
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
} from '../signals.ts';
import { changed, type FieldEvent } from './events.ts';
import type { EventSpec, ScenarioSpec } from './schema.ts';
import { isSelected } from './select.ts';
import type { Drawn, RouteSpec, SignalSpec } from './signal-schema.ts';

type Fields = ScenarioSpec['profiles'][string];
type Routes = ScenarioSpec['routes'];
type SignalObject = Extract<SignalSpec, { signal: string }>;
/** What a device draws from a range. */
type Draw = (range: Drawn) => number;

/** The profile of a fleet, with the events that are for it. */
export function profileOf(fields: Fields, routes: Routes, events: readonly EventSpec[]): Profile {
  const order = followersLast(fields);
  return (identity, seed) => {
    const happening = events.map((event, i) => ({ event, i })).filter(({ event }) => isFor(event, identity));
    return Object.fromEntries(
      order.map((name) => {
        const device = { seed, name: identity.device, routes };
        const signal = unrounded(fields[name]!, device, ['draw', name]);
        const mine = happening
          .filter(({ event }) => event.field === name)
          .map(({ event, i }) => eventOf(event, device, ['event', i]));
        return [name, rounded(decimalsOf(fields[name]!), changed(signal, mine))];
      }),
    );
  };
}

interface DeviceContext {
  readonly seed: number;
  readonly name: string;
  readonly routes: Routes;
}

function isFor({ fleet, devices }: EventSpec, identity: DeviceIdentity): boolean {
  return (fleet === undefined || fleet === identity.fleet) && isSelected(devices, identity);
}

function eventOf(event: EventSpec, device: DeviceContext, purpose: (string | number)[]): FieldEvent {
  const draw = drawFrom(randomStream(device.seed, device.name, ...purpose));
  const signal = (spec: SignalSpec | undefined) =>
    spec === undefined ? null : signalOf(spec, device, [...purpose, 'signal']);
  return {
    atMs: draw(event.at),
    forMs: event.for === undefined ? Number.POSITIVE_INFINITY : draw(event.for),
    everyMs: event.every === undefined ? Number.POSITIVE_INFINITY : draw(event.every),
    set: signal(event.set),
    add: signal(event.add),
    scale: event.scale ?? 1,
  };
}

function signalOf(spec: SignalSpec, device: DeviceContext, purpose: readonly (string | number)[]): Signal {
  const signal = unrounded(spec, device, purpose);
  return isValue(spec) || spec.decimals === undefined ? signal : rounded(spec.decimals, signal);
}

function unrounded(spec: SignalSpec, device: DeviceContext, purpose: readonly (string | number)[]): Signal {
  const draw = drawFrom(randomStream(device.seed, device.name, ...purpose));
  return isValue(spec) ? constant(drawnValue(spec, draw)) : shapeOf(spec, draw, device, purpose);
}

type ValueSpec = Exclude<SignalSpec, SignalObject>;

function drawnValue(value: ValueSpec, draw: Draw): FieldValue {
  return typeof value === 'string' || typeof value === 'boolean' ? value : draw(value);
}

function isValue(spec: SignalSpec): spec is ValueSpec {
  return typeof spec !== 'object' || 'between' in spec;
}

function shapeOf(spec: SignalObject, draw: Draw, device: DeviceContext, purpose: readonly (string | number)[]): Signal {
  switch (spec.signal) {
    case 'constant':
      return constant(drawnValue(spec.value, draw));
    case 'sine':
      return sine({ mean: draw(spec.mean), amplitude: draw(spec.amplitude), periodMs: draw(spec.period) });
    case 'daily':
      return daily({ mean: draw(spec.mean), amplitude: draw(spec.amplitude), peakHour: draw(spec.peakHour) });
    case 'random_walk': {
      const [start, perSecond] = [draw(spec.start), draw(spec.perSecond)];
      return randomWalk({ start, perSecond, min: draw(spec.min), max: draw(spec.max) });
    }
    case 'ornstein_uhlenbeck': {
      const [mean, deviation] = [draw(spec.mean), draw(spec.deviation)];
      return ornsteinUhlenbeck({ mean, deviation, relaxationMs: draw(spec.relaxation) });
    }
    case 'step':
      return step({ levels: spec.levels.map((level) => drawnValue(level, draw)), holdMs: draw(spec.hold) });
    case 'counter': {
      const resetEveryMs = spec.resetEvery === undefined ? Number.POSITIVE_INFINITY : draw(spec.resetEvery);
      return counter({ perSecond: draw(spec.perSecond), resetEveryMs });
    }
    case 'spike': {
      const [height, firstMs, everyMs] = [draw(spec.height), draw(spec.first), draw(spec.every)];
      return spike({ height, firstMs, everyMs, lastsMs: draw(spec.lasts) });
    }
    case 'decay':
      return decay({ from: draw(spec.from), to: draw(spec.to), halfLifeMs: draw(spec.halfLife) });
    case 'noise':
      return noise(draw(spec.deviation));
    case 'path':
      return path(wayOf(spec.route, device), spec.gives);
    case 'correlated': {
      const [gain, offset] = [draw(spec.gain), draw(spec.offset)];
      return correlated({ field: spec.field, gain, offset, lagMs: draw(spec.lag) });
    }
    case 'sum':
      return sum(spec.of.map((part, i) => signalOf(part, device, [...purpose, i]) as Signal<number>));
  }
}

/** All fields of a device that are on one route are at the same place of it. */
function wayOf(name: string, device: DeviceContext) {
  const spec: RouteSpec = device.routes[name]!;
  const draw = drawFrom(randomStream(device.seed, device.name, 'route', name));
  const metresPerSecond = draw(spec.speedKmh) / 3.6;
  return { waypoints: spec.waypoints, isClosed: spec.closed, metresPerSecond, start: draw(spec.start) };
}

function drawFrom(random: Random): Draw {
  return (range) => {
    // Drawn even where nothing is to be: making a number a range changes no other.
    const part = random();
    if (typeof range === 'number') return range;
    const [from, to] = range.between;
    return from + (to - from) * part;
  };
}

function decimalsOf(spec: SignalSpec): number {
  if (isValue(spec)) return 3;
  const isPlace = spec.signal === 'path' && spec.gives !== 'heading';
  return spec.decimals ?? (isPlace ? 6 : 3);
}

/** Field names in the order of the file, but each behind the field that it follows. */
function followersLast(fields: Fields): string[] {
  const order = new Set<string>();
  const add = (name: string) => {
    for (const followed of followedBy(fields[name]!)) add(followed);
    order.add(name);
  };
  for (const name of Object.keys(fields)) add(name);
  return [...order];
}

function followedBy(spec: SignalSpec): string[] {
  if (isValue(spec)) return [];
  if (spec.signal === 'sum') return spec.of.flatMap(followedBy);
  return spec.signal === 'correlated' ? [spec.field] : [];
}
