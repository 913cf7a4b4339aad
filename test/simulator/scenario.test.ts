/** Scenario files: what is refused and how it is said, and what devices make of the rest. */
import { describe, expect, test } from 'vitest';
import { identities } from '../../simulator/fleet.ts';
import { encode } from '../../simulator/format.ts';
import { ratePerSecond, resized } from '../../simulator/scenario/resize.ts';
import { parseScenario } from '../../simulator/scenario/scenario.ts';
import { isSelected } from '../../simulator/scenario/select.ts';
import { shippedScenario } from '../../simulator/scenario/shipped.ts';
import { Timeline } from '../../simulator/timeline.ts';
import { type Measured, measured } from './dry-run.ts';

const smallest = `
name: lab
description: one thing
profiles: { thing: { temperature: 20 } }
fleets: [{ name: thing, count: 1, profile: thing, sites: [lab] }]
`;

const withSignal = (signal: string) => smallest.replace('temperature: 20', `temperature: ${signal}`);

function scenarioOf(fields: string, rest = '', count = 4) {
  return parseScenario(
    `
name: lab
description: some things
profiles: { thing: ${fields} }
fleets: [{ name: thing, count: ${count}, profile: thing, sites: [lab], interval: 1s, jitter: 0 }]
${rest}`,
    'lab.yaml',
  );
}

const valuesOf = (fields: string, rest?: string, seconds = 60, seed = 1) =>
  measured(scenarioOf(fields, rest).fleets, seconds * 1000, seed);
const of = (all: Measured[], device: string, field: string) =>
  all.filter(({ identity }) => identity.device === device).map(({ fields }) => fields[field]);

function errorsOf(text: string): string {
  try {
    parseScenario(text, 'lab.yaml');
  } catch (error) {
    return (error as Error).message;
  }
  throw new Error('it was taken');
}

describe('a file with errors', () => {
  test('is told all of them, each with its line, its path and what was expected', () => {
    const message = errorsOf(`name: lab
description: wrong in every way
colour: red
routes:
  ring: { waypoints: [[91, 0], [0, 0]], speedKmh: fast }
profiles:
  thing:
    seq: 3
    temperature: { signal: sine, mean: 20, amplitude: 1, period: soon }
    speed: { signal: warp }
    load: { signal: noise, deviation: { between: [1] }, decimls: 2 }
    place: { signal: path, route: rign, gives: lat }
    follows: { signal: correlated, field: lod }
    a: { signal: correlated, field: b }
    b: { signal: sum, of: [1, { signal: correlated, field: a }] }
    motor: 1
    motor.rpm: 900
fleets:
  - { name: thing, count: 0, profile: thign, sites: [lab] }
  - { name: thing, count: 1, profile: thing, sites: [] }
  - { name: other, count: 2, profile: thing, sites: [lab], device: same, interval: 0.5 }
events:
  - { at: 1s, fleet: thinks, field: temperature, add: 1 }
  - { at: 1s, field: temprature, add: 1, set: 2 }
faults:
  - { fault: sensor.spyke }
  - { fault: sensor.stuck, field: nothing }
`);
    const lines = message.split('\n').slice(1);
    expect(message).toMatch(/^lab\.yaml has 2\d error\(s\):\n/);
    expect(lines.map((line) => Number(/^ {2}line (\d+): /.exec(line)![1]))).toEqual(
      lines.map((line) => Number(/^ {2}line (\d+): /.exec(line)![1])).sort((a, b) => a - b),
    );
    for (const expected of [
      'line 3: colour: unknown key',
      'line 5: routes.ring.waypoints.0.0: ',
      'line 5: routes.ring.speedKmh: expected a number of at least 0, or { between: [a, b] }',
      'line 8: profiles.thing.seq: ts and seq are what the simulator adds itself',
      'line 9: profiles.thing.temperature.period: expected milliseconds or a text such as 500ms, 5s, 10m, 1h, 7d; got "soon"',
      'line 10: profiles.thing.speed.signal: expected a signal: constant, sine, daily,',
      'line 11: profiles.thing.load.decimls: unknown key',
      'line 11: profiles.thing.load.deviation.between: ',
      'line 12: profiles.thing.place.route: no route is named rign; there are ring',
      'line 13: profiles.thing.follows.field: the profile has no field lod; there are ',
      'line 14: profiles.thing.a: follows itself',
      'line 15: profiles.thing.b: follows itself',
      'line 16: profiles.thing.motor: motor.rpm needs an object of that name',
      'line 19: fleets.0.count: ',
      'line 19: fleets.0.profile: no profile is named thign; there are thing',
      'line 20: fleets.1.sites: ',
      'line 20: fleets.1.name: two fleets are named thing',
      'line 20: fleets.1.device: another fleet names its devices thing-{n} too',
      'line 21: fleets.2.device: expected a name with {n}',
      'line 21: fleets.2.interval: expected 1ms or more',
      'line 23: events.0.fleet: no fleet is named thinks; there are thing, other',
      'line 24: events.1: expected one of set, add and scale',
      'line 24: events.1.field: no such field there; there are ',
      'line 26: faults.0.fault: expected the name of a fault',
      'line 27: faults.1.field: no such field there',
    ]) {
      expect(message).toContain(`\n  ${expected}`);
    }
  });

  test.each([
    ['no YAML', 'name: [', 'at line 1'],
    ['nothing', '', 'line 1: file: '],
    ['a list', '- 1', 'line 1: file: '],
    ['no fleets', smallest.replace(/fleets: .*/, 'fleets: []'), 'fleets: '],
    [
      'a level held for no time',
      withSignal('{ signal: step, levels: [1, 2], hold: 0 }'),
      'temperature.hold: expected more',
    ],
    [
      'a period of nothing',
      withSignal('{ signal: sine, mean: 0, amplitude: 1, period: { between: [0, 5s] } }'),
      'period',
    ],
    [
      'a route that stands still',
      `${smallest}routes: { ring: { waypoints: [[1, 2], [1, 2]], speedKmh: -1, start: 2 } }`,
      'routes.ring.waypoints: expected two places',
    ],
    ['a range that is none', withSignal('{ beween: [1, 2] }'), 'temperature'],
  ])('%s', (_what, text, expected) => {
    expect(errorsOf(text)).toContain(expected);
  });
});

describe('what devices measure', () => {
  test('the same seed and start give the same bytes, another seed others', () => {
    const { fleets } = shippedScenario('fleet-gps').scenario;
    const bytes = (seed: number) =>
      measured(fleets, 20_000, seed).map(({ timeMs, seq, fields }) => encode('json', timeMs, seq, fields));
    expect(bytes(1)).toEqual(bytes(1));
    expect(bytes(2)).not.toEqual(bytes(1));
  });

  test('a range is drawn by each device, once; a field added beside it changes nothing', () => {
    const all = valuesOf('{ level: { between: [10, 20] } }');
    const first = ['thing-01', 'thing-02', 'thing-03', 'thing-04'].map((device) => of(all, device, 'level')[0]);
    expect(new Set(first).size).toBe(4);
    for (const value of first) expect(value).toSatisfy((drawn: number) => drawn >= 10 && drawn <= 20);
    expect(new Set(of(all, 'thing-01', 'level')).size).toBe(1);
    const more = valuesOf('{ other: { signal: noise, deviation: 1 }, level: { between: [10, 20] } }');
    expect(of(more, 'thing-03', 'level')).toEqual(of(all, 'thing-03', 'level'));
  });

  test('values are rounded to 3 decimals, places to 6, or as the signal says', () => {
    const route = 'routes: { ring: { waypoints: [[50.123456, 10], [51, 10.987654]], speedKmh: 36 } }';
    const fields = `{ a: { signal: noise, deviation: 1 }, b: { signal: noise, deviation: 1, decimals: 0 },
      lat: { signal: path, route: ring, gives: lat }, lon: { signal: path, route: ring, gives: lon } }`;
    for (const { fields: values } of valuesOf(fields, route)) {
      const decimals = (field: string) => (String(values[field]).split('.')[1] ?? '').length;
      expect(decimals('a')).toBeLessThanOrEqual(3);
      expect(decimals('b')).toBe(0);
      expect(decimals('lat')).toBeLessThanOrEqual(6);
    }
    const [first] = valuesOf(fields, route);
    expect(first!.fields).toMatchObject({ lat: 50.123456, lon: 10 });
  });

  test('a field that follows another may stand before it', () => {
    const fields = '{ heat: { signal: correlated, field: load, gain: 2 }, load: { signal: noise, deviation: 1 } }';
    for (const { fields: values } of valuesOf(fields)) {
      expect(values.heat as number).toBeCloseTo(2 * (values.load as number), 2);
    }
  });
});

describe('events', () => {
  const seconds = (values: unknown[], changed: (value: unknown) => boolean) =>
    values.flatMap((value, second) => (changed(value) ? [second] : []));

  test('set, add and scale a field at their time, for their time, again and again', () => {
    const all = valuesOf(
      '{ a: 10, b: 10, c: 10, state: ok }',
      `events:
  - { at: 5s, for: 3s, every: 20s, field: a, add: 5 }
  - { at: 10s, field: b, scale: 0.5 }
  - { at: 2s, for: 1s, field: c, set: -1 }
  - { at: 2s, for: 2s, field: state, set: broken }`,
    );
    expect(seconds(of(all, 'thing-01', 'a'), (value) => value === 15)).toEqual([5, 6, 7, 25, 26, 27, 45, 46, 47]);
    expect(seconds(of(all, 'thing-01', 'b'), (value) => value === 5)[0]).toBe(10);
    expect(seconds(of(all, 'thing-01', 'b'), (value) => value === 5)).toHaveLength(50);
    expect(seconds(of(all, 'thing-01', 'c'), (value) => value === -1)).toEqual([2]);
    expect(seconds(of(all, 'thing-01', 'state'), (value) => value === 'broken')).toEqual([2, 3]);
  });

  test('a signal that is added begins anew each time', () => {
    const all = valuesOf(
      '{ a: 0 }',
      'events: [{ at: 10s, for: 5s, every: 20s, field: a, add: { signal: decay, from: 0, to: 8, halfLife: 1s } }]',
    );
    const values = of(all, 'thing-01', 'a');
    expect(values.slice(9, 16)).toEqual([0, 0, 4, 6, 7, 7.5, 0]);
    expect(values.slice(29, 36)).toEqual(values.slice(9, 16));
    const walk = '{ signal: random_walk, start: 0, perSecond: 3, min: 0, max: 1000 }';
    const walked = of(
      valuesOf('{ a: 0 }', `events: [{ at: 10s, for: 5s, every: 20s, field: a, add: ${walk} }]`),
      'thing-01',
      'a',
    );
    expect([walked[10], walked[30], walked[50]]).toEqual([0, 0, 0]);
    expect(walked[14]).toBeGreaterThan(0);
    expect(walked[34]).toBeGreaterThan(0);
  });

  test('only the devices that are meant', () => {
    const all = valuesOf('{ a: 0 }', "events: [{ at: 0s, devices: '*-0[3]', field: a, set: 1 }]");
    expect(all.some(({ fields }) => fields.a === 1)).toBe(false);
    const third = valuesOf('{ a: 0 }', "events: [{ at: 0s, devices: 'thing-?3', field: a, set: 1 }]");
    const changed = third.filter(({ fields }) => fields.a === 1).map(({ identity }) => identity.device);
    expect(new Set(changed)).toEqual(new Set(['thing-03']));
  });
});

test('a part of a fleet is spread evenly, and has its first device', () => {
  const [fleet] = scenarioOf('{ a: 0 }', '', 30).fleets;
  const chosen = (devices: string) =>
    identities(fleet!).flatMap((identity) => (isSelected(devices, identity) ? [identity.index] : []));
  expect(chosen('10%')).toEqual([0, 10, 20]);
  expect(chosen('0.1%')).toEqual([0]);
  expect(chosen('100%')).toHaveLength(30);
  expect(chosen('0%')).toEqual([]);
});

test('names are unique and sort, sites take turns', () => {
  const [fleet] = scenarioOf('{ a: 0 }').fleets;
  const names = identities({ ...fleet!, count: 100, sites: ['x', 'y', 'z'] });
  expect(names.slice(0, 4).map(({ site, device }) => `${site}/${device}`)).toEqual([
    'x/thing-001',
    'y/thing-002',
    'z/thing-003',
    'x/thing-004',
  ]);
  expect(new Set(names.map(({ device }) => device)).size).toBe(100);
});

test('fleets are resized as the scenario shares them out', () => {
  const { fleets } = shippedScenario('smart-building').scenario;
  const counts = (devices: number) => resized(fleets, { devices }).map(({ name, count }) => [name, count]);
  expect(counts(320)).toEqual([
    ['office', 240],
    ['meter', 40],
    ['lift', 40],
  ]);
  expect(counts(1)).toEqual([['office', 1]]);
  expect(counts(13).reduce((total, [, count]) => total + (count as number), 0)).toBe(13);
  expect(ratePerSecond(resized(fleets, { devices: 320, rate: 777 }))).toBeCloseTo(777, 9);
  expect(resized(fleets, { intervalMs: 50, jitter: 0, sites: ['a'] })).toMatchObject(
    Array.from({ length: 3 }, () => ({ intervalMs: 50, jitter: 0, sites: ['a'] })),
  );
});

test('json-nested makes objects of dots, and what is left out is not there', () => {
  const fields = { 'motor.rpm': 900, 'motor.a.b': true, x: 'y' };
  expect(encode('json', 5, 1, fields)).toBe('{"ts":5,"seq":1,"motor.rpm":900,"motor.a.b":true,"x":"y"}');
  expect(encode('json-nested', null, null, fields)).toBe('{"motor":{"rpm":900,"a":{"b":true}},"x":"y"}');
});

test('a timeline passes the past at its speed, then is the clock', () => {
  const startMs = 1_000_000;
  const minute = 60_000;
  const quick = new Timeline({ startMs, backfillMs: 59 * minute, speed: 60 });
  expect(quick.startMs).toBe(startMs - 59 * minute);
  expect(quick.wallMsOf(quick.startMs)).toBe(startMs);
  expect(quick.wallMsOf(quick.startMs + 30 * minute)).toBe(startMs + minute / 2);
  // Caught up after one minute, without a jump.
  expect(quick.wallMsOf(startMs + minute - 1)).toBeCloseTo(startMs + minute, 1);
  expect(quick.wallMsOf(startMs + minute)).toBe(startMs + minute);
  const atOnce = new Timeline({ startMs, backfillMs: 59 * minute, speed: Number.POSITIVE_INFINITY });
  expect([atOnce.startMs, startMs - 1].map((timeMs) => atOnce.wallMsOf(timeMs))).toEqual([startMs, startMs]);
  const live = new Timeline({ startMs, backfillMs: 0, speed: Number.POSITIVE_INFINITY });
  expect([live.startMs, live.wallMsOf(startMs + 5)]).toEqual([startMs, startMs + 5]);
});
