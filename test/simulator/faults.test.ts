/** What each fault makes of a message: values, bytes, labels, and what it should end as. */
import { isUtf8 } from 'node:buffer';
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { Device } from '../../simulator/device.ts';
import { DeviceFaults } from '../../simulator/faults/device-faults.ts';
import { Interruptions } from '../../simulator/faults/interruptions.ts';
import { faultNames, faultSpec } from '../../simulator/faults/spec.ts';
import { identities } from '../../simulator/fleet.ts';
import type { Message } from '../../simulator/message.ts';
import { Schedule } from '../../simulator/schedule.ts';
import { constant } from '../../simulator/signals.ts';
import { Timeline } from '../../simulator/timeline.ts';
import { testFleet } from './test-fleet.ts';

const startMs = Date.UTC(2026, 0, 1, 12);
const topic = 'iot/north/room-01/telemetry';
const fleet = testFleet({
  intervalMs: 1000,
  jitter: 0,
  profile: () => ({ temperature: constant(20), level: constant(-5), open: constant(true) }),
});

function made(
  specs: readonly object[],
  { count = 120, seed = 1, index = 0, fleet: over = fleet, isPast = false, speaksForItself = false } = {},
) {
  const identity = identities(over)[index]!;
  const device = new Device(identity, { fleet: over, seed, startMs, firstMs: startMs });
  const fillIn = (text: string) => text.replace('{site}', identity.site).replace('{device}', identity.device);
  const settings = { identity, seed, format: 'json' as const, topic, speaksForItself, fillIn };
  const faults = new DeviceFaults(
    specs.map((spec) => faultSpec.parse(spec)),
    settings,
  );
  return Array.from({ length: count }, () => faults.apply(device.next(), isPast));
}

const only = (spec: object) => made([spec])[60]!;
const payloadOf = ({ payload }: Message) => JSON.parse(payload.toString());

test('without faults a message is what was measured', () => {
  const [first] = made([]);
  expect(payloadOf(first!)).toEqual({ ts: startMs, seq: 0, temperature: 20, level: -5, open: true });
  expect(first).toMatchObject({
    topic,
    reading: { timeMs: startMs, seq: 0, fields: { temperature: 20, level: -5, open: true } },
    faults: [],
    expect: { as: 'stored' },
    copies: 1,
  });
});

test.each([
  [
    { fault: 'sensor.drift', perMinute: 3 },
    { temperature: 23, level: -2 },
  ],
  [
    { fault: 'sensor.drift', perMinute: 3, at: '20s', for: '30s', every: '35s' },
    { temperature: 20.25, level: -4.75 },
  ],
  [
    { fault: 'sensor.spike', height: 7, field: 'level' },
    { temperature: 20, level: 2 },
  ],
  [
    { fault: 'sensor.clipping', min: 0, max: 10 },
    { temperature: 10, level: 0 },
  ],
  [
    { fault: 'sensor.unit_flip', field: 'temperature' },
    { temperature: 68, level: -5 },
  ],
  [
    { fault: 'sensor.null', field: 'open' },
    { temperature: 20, level: -5, open: null },
  ],
])('%j', (spec, values) => {
  const message = only(spec);
  expect(payloadOf(message)).toEqual({ ts: startMs + 60_000, seq: 60, open: true, ...values });
  expect(message).toMatchObject({ faults: [spec.fault], expect: { as: 'stored' } });
  const said = Object.entries(payloadOf(message)).filter(
    ([name, value]) => !['ts', 'seq'].includes(name) && value !== null,
  );
  expect(message.reading).toEqual({ timeMs: startMs + 60_000, seq: 60, fields: Object.fromEntries(said) });
});

test('a stuck sensor says again what it said first, and then goes on', () => {
  const counting = testFleet({
    intervalMs: 1000,
    jitter: 0,
    profile: () => ({ n: () => (at) => at.elapsedMs / 1000 }),
  });
  const spec = { fault: 'sensor.stuck', at: '5s', for: '3s', every: '10s' };
  const said = made([spec], { fleet: counting, count: 20 }).map(({ reading }) => reading!.fields.n);
  expect(said).toEqual([0, 1, 2, 3, 4, 5, 5, 5, 8, 9, 10, 11, 12, 13, 14, 15, 15, 15, 18, 19]);
});

test('noise spreads as it is told to', () => {
  const values = made([{ fault: 'sensor.noise', deviation: 2, field: 'temperature' }], { count: 2000 }).map(
    ({ reading }) => (reading!.fields.temperature as number) - 20,
  );
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const deviation = Math.sqrt(values.reduce((sum, value) => sum + value ** 2, 0) / values.length);
  expect(Math.abs(mean)).toBeLessThan(0.2);
  expect(deviation).toBeCloseTo(2, 0);
});

test('a number as text is refused once the type is known on that day, and is left alone before', () => {
  const flips = { fault: 'sensor.type_flip', field: 'temperature' };
  const [first, second] = made([{ ...flips, probability: 1 }]);
  expect([first!.faults, second!.faults]).toEqual([[], ['sensor.type_flip']]);
  expect(second).toMatchObject({
    reading: { fields: { temperature: '20', level: -5 } },
    expect: { as: 'dead_letter', reason: 'refused_type_conflict' },
  });
  const jumped = made([{ fault: 'clock.jump', by: '-1d', at: '10s' }, flips]);
  expect(jumped[60]!.faults, 'on another day it may be the first').toEqual(['clock.jump']);
});

test('without any value left there is nothing to store', () => {
  const fields = ['temperature', 'level', 'open'].map((field) => ({ fault: 'sensor.null', field }));
  expect(made(fields)[3]).toMatchObject({ reading: null, expect: { as: 'dead_letter', reason: 'no_fields' } });
});

test.each([
  [{ fault: 'clock.skew', perHour: '60s' }, startMs + 61_000, 'stored'],
  [{ fault: 'clock.jump', by: '-10m' }, startMs - 540_000, 'stored'],
  [{ fault: 'clock.jump', by: '61s' }, startMs + 121_000, 'future'],
  [{ fault: 'clock.epoch' }, 60_000, 'too_old'],
  [{ fault: 'clock.seconds' }, startMs / 1000 + 60, 'too_old'],
  [{ fault: 'clock.missing' }, null, 'stored'],
])('%j says %s', (spec, ts, as) => {
  const message = only(spec);
  expect(payloadOf(message).ts ?? null).toBe(ts);
  expect(message.reading?.timeMs).toBe(ts);
  expect(message.expect).toEqual(as === 'stored' ? { as } : { as: 'dead_letter', reason: as });
});

test('payloads are broken in one way each', () => {
  const deep = only({ fault: 'payload.deep', depth: 9 });
  expect(payloadOf(deep).deep.in.in.in.in.in.in.in.in.in).toBe(0);
  expect(deep.expect).toMatchObject({ reason: 'unsupported_value' });
  const oversized = only({ fault: 'payload.oversized' });
  expect(payloadOf(oversized).padding).toHaveLength(300_000);
  expect(oversized.expect).toEqual({ as: 'refused_by_broker' });
  for (const { payload } of made([{ fault: 'payload.truncated' }])) {
    expect(payload.length).toBeGreaterThan(0);
    expect(() => JSON.parse(payload.toString())).toThrow(SyntaxError);
  }
  for (const { payload, reading } of made([{ fault: 'payload.invalid_utf8' }])) {
    expect(isUtf8(payload as Buffer)).toBe(false);
    expect(reading).toBeNull();
  }
});

test('networks: lost, doubled, held back, delayed', () => {
  expect(only({ fault: 'network.loss' })).toMatchObject({ copies: 0, expect: { as: 'not_sent' } });
  expect(only({ fault: 'network.duplicate', copies: 3 })).toMatchObject({ copies: 3, expect: { as: 'stored' } });
  expect(only({ fault: 'network.reorder' })).toMatchObject({ isHeldBack: true });
  expect(only({ fault: 'network.delay', by: '2m' })).toMatchObject({ delayMs: 120_000 });
});

test('security: on another topic, or by an intruder', () => {
  expect(only({ fault: 'security.foreign_topic' })).toMatchObject({
    topic: 'foreign/north/room-01',
    reading: null,
    expect: { as: 'dead_letter', reason: 'no_route' },
  });
  const [refused] = made([{ fault: 'security.foreign_topic' }], { speaksForItself: true });
  expect(refused!.expect, 'of a device that the broker knows as itself').toEqual({ as: 'refused_by_broker' });
  expect(only({ fault: 'security.wrong_password' })).toMatchObject({ topic, isByIntruder: true });
});

test('of several faults the one decides that the pipeline meets first', () => {
  const all = (...names: string[]) => made(names.map((fault) => ({ fault })))[60]!;
  expect(all('clock.epoch', 'sensor.type_flip').expect).toMatchObject({ reason: 'too_old' });
  expect(all('payload.truncated', 'clock.epoch').expect).toMatchObject({ reason: 'not_json' });
  expect(all('payload.truncated', 'security.foreign_topic').expect).toMatchObject({ reason: 'no_route' });
  expect(all('payload.oversized', 'security.foreign_topic').expect).toEqual({ as: 'refused_by_broker' });
  expect(all('security.wrong_password', 'network.loss').expect).toEqual({ as: 'not_sent' });
  expect(all('clock.epoch', 'clock.missing').faults, 'one of a class').toEqual(['clock.epoch']);
  expect(all('network.loss', 'network.duplicate').copies).toBe(0);
});

test('probability, time and place decide whom it hits; the same seed hits the same', () => {
  const spike = { fault: 'sensor.spike', probability: '10%' };
  const hits = (seed: number) =>
    made([spike], { count: 2000, seed }).flatMap(({ faults }, n) => (faults.length === 0 ? [] : [n]));
  expect(hits(1).length).toBeGreaterThan(150);
  expect(hits(1).length).toBeLessThan(250);
  expect(hits(1)).toEqual(hits(1));
  expect(hits(2)).not.toEqual(hits(1));
  const timed = made([{ ...spike, probability: 1, at: '10s', for: '5s', every: '20s' }], { count: 40 });
  expect(timed.flatMap(({ faults }, n) => (faults.length === 0 ? [] : [n]))).toEqual([
    10, 11, 12, 13, 14, 30, 31, 32, 33, 34,
  ]);
  const named = { ...spike, probability: 1, devices: 'room-02' };
  expect(made([named], { index: 0 })[0]!.faults).toEqual([]);
  expect(made([named], { index: 1 })[0]!.faults).toEqual(['sensor.spike']);
  expect(made([{ ...spike, probability: 1, fleet: 'others' }])[0]!.faults).toEqual([]);
});

test('one more fault changes nothing of what the others do', () => {
  const noise = { fault: 'sensor.noise', probability: '20%' };
  const values = (specs: object[]) => made(specs).map(({ reading }) => reading!.fields.level);
  expect(values([noise, { fault: 'sensor.spike', field: 'temperature', probability: '50%' }])).toEqual(values([noise]));
});

test('a connection is broken when it is time, and works again at the end', () => {
  const acts: string[] = [];
  const act = (name: string) => () => void acts.push(`${name} ${nowMs / 1000}`);
  const connection = {
    cut: act('cut'),
    goOffline: act('offline'),
    goOnline: act('online'),
    stall: act('stall'),
    abandon: act('abandon'),
  };
  const schedule = new Schedule();
  const timeline = new Timeline({ startMs: 0, backfillMs: 0, speed: Number.POSITIVE_INFINITY });
  const specs = [
    { fault: 'network.dropout', at: '10s', for: '5s', every: '20s' },
    { fault: 'network.dropout', at: '12s', for: '5s' },
    { fault: 'network.half_open', at: '20s', for: '4s' },
    { fault: 'network.reconnect_storm', at: '1s', every: '25s' },
  ].map((spec) => faultSpec.parse(spec)) as ConstructorParameters<typeof Interruptions>[0];
  let nowMs = 0;
  const interruptions = new Interruptions(specs, connection, schedule, timeline, (does) => does());
  for (; nowMs <= 32_000; nowMs += 1000) schedule.runDue(nowMs);
  interruptions.end();
  schedule.runDue(200_000);
  expect(acts).toEqual([
    'cut 1',
    'offline 10',
    'offline 12',
    'online 17',
    'stall 20',
    'abandon 24',
    'cut 26',
    'offline 30',
    'online 33',
  ]);
});

test('docs/faults.md tells of every fault', () => {
  const page = readFileSync(new URL('../../docs/faults.md', import.meta.url), 'utf8');
  const told = [...page.matchAll(/^\| `([a-z_]+\.[a-z0-9_]+)`/gm)].map(([, name]) => name);
  expect(told.sort()).toEqual([...faultNames].sort());
});
