/** `sluice recompute` over the embedded bus and store. Against the oracle: `recompute-oracle.test.ts`. */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { systemClock } from '../../core/clock.ts';
import { StoreUnavailableError } from '../../core/errors.ts';
import type { Fields } from '../../core/reading.ts';
import type { WindowSpec } from '../../core/windows-config.ts';
import { readHeld } from '../../processors/recompute/held.ts';
import { SnapshotEncoder } from '../../processors/snapshot.ts';
import { encodeNote, SnapshotTopic } from '../../processors/state.ts';
import { Topology } from '../../processors/topology.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { withMethods } from '../support/with-methods.ts';
import { type Lab, openLab, recordOf, type Sent, startLab } from './recompute-rig.ts';

vi.setConfig({ testTimeout: 60_000 });

const minuteMs = 60_000;
const dayMs = 86_400_000;
/** A noon: the day before yesterday, so that what is sent then is neither too old for the store nor in the future. */
const noonMs = Math.floor(Date.now() / dayMs) * dayMs - 2 * dayMs + dayMs / 2;
const range = { fromUs: (noonMs - dayMs) * 1000, toUs: (noonMs + dayMs) * 1000 };

const at = (minutes: number) => noonMs + minutes * minuteMs;
/** So much later that nothing before it can change; in a window of its own. */
const afterwards: Sent = { ts: at(2000), fields: { beat: 1 } };
const trip: WindowSpec = {
  name: 'trip',
  type: 'session',
  gap: 5 * minuteMs,
  fields: ['*'],
  aggregates: ['count', 'max'],
};

/** One reading in each of two minutes, and one that came half an hour too late for the first. */
const missed: Sent[] = [
  { ts: at(0), fields: { t: 1 } },
  { ts: at(30), fields: { t: 2 } },
  { ts: at(0.5), atMs: at(30), fields: { t: 3 } },
  afterwards,
];

/** By device. */
const sent: Readonly<Record<string, readonly Sent[]>> = {
  missed: [
    { ts: at(0.1), fields: { t: 10 } },
    { ts: at(1.1), fields: { t: 20 } },
    { ts: at(30), fields: { t: 30 } },
    { ts: at(1.5), atMs: at(30), fields: { t: 40 } },
    afterwards,
  ],
  repeated: [
    { ts: at(0), fields: { t: 10 } },
    { ts: at(30), fields: { t: 30 } },
    { ts: at(0), atMs: at(30), fields: { t: 10 } },
    afterwards,
  ],
  joining: [
    { ts: at(0), fields: { t: 1 } },
    { ts: at(8), fields: { t: 2 } },
    { ts: at(60), fields: { t: 3 } },
    { ts: at(4), atMs: at(60), fields: { t: 9 } },
    afterwards,
  ],
  states: [
    { ts: at(0), fields: { mode: 'a' } },
    { ts: at(1.5), fields: { mode: 'b' } },
    { ts: at(30), fields: { mode: 'b' } },
    { ts: at(0.5), atMs: at(30), fields: { mode: 'c' } },
    afterwards,
  ],
  // The horizon is at minute 2; the late one is before it.
  open: [
    ...[0, 1, 2, 3].map((minutes) => ({ ts: at(minutes), fields: { t: minutes } })),
    { ts: at(12.2), fields: { t: 5 } },
    { ts: at(0.5), atMs: at(12.2), fields: { t: 9 } },
  ],
  old: [{ ts: at(0), fields: { t: 1 } }, { ts: at(1), fields: { t: 1 } }, afterwards],
  // Every four minutes, for more than two days.
  restless: [...Array.from({ length: 800 }, (_, i) => ({ ts: at(i * 4 - 3200), fields: { t: 1 } })), afterwards],
  dry: missed,
  outage: missed,
  interrupted: missed,
};

let lab: Lab;
beforeAll(async () => {
  // Silence closes nothing, so that each point has been written once.
  lab = await startLab({ idleAfterMs: 1e12, windows: [trip] });
  await lab.append(Object.entries(sent).flatMap(([device, some]) => some.map((one) => recordOf({ ...one, device }))));
  await lab.process();
}, 60_000);
afterAll(() => lab.backend.close());

function recompute(device: string, over: Partial<Parameters<Lab['recompute']>[1]> = {}, of = range) {
  return lab.recompute(of, { device: { site: 'lab', device }, ...over });
}

/** Of one measurement of a device: start in minutes since noon → fields of its points. */
async function pointsOf(device: string, measurement: string, tags: Readonly<Record<string, string>> = {}, on = lab) {
  const wanted = Object.entries({ ...tags, device });
  const found = [...(await on.points()).values()]
    .filter((point) => point.measurement === measurement && point.tags.field !== 'beat')
    .filter((point) => wanted.every(([name, value]) => point.tags[name] === value))
    .sort((a, b) => a.timeUs - b.timeUs);
  return Object.fromEntries(found.map(({ timeUs, fields }) => [(timeUs / 1000 - noonMs) / minuteMs, fields]));
}

describe('a reading that came too late', () => {
  test('is in the windows that it missed, one revision on; other points are not written again', async () => {
    expect(await pointsOf('missed', 'rollup_1m')).toMatchObject({ 0: { count: 1 }, 1: { count: 1, revision: 0 } });
    const { measurements } = await recompute('missed');
    expect(await pointsOf('missed', 'rollup_1m')).toMatchObject({
      0: { count: 1, revision: 0 },
      1: { count: 2, sum: 60, first: 20, last: 40, revision: 1, final: true },
    });
    expect(await pointsOf('missed', 'rollup_1h')).toMatchObject({ 0: { count: 4, sum: 100, revision: 1 } });
    expect(await pointsOf('missed', 'rollup_1d')).toMatchObject({ [-720]: { count: 4, revision: 1 } });
    expect(measurements).toMatchObject({
      rollup_1m: { added: 0, changed: 1, unchanged: 2 },
      rollup_1h: { added: 0, changed: 1, unchanged: 0 },
      rollup_1d: { added: 0, changed: 1, unchanged: 0 },
    });
  });

  test('that is sent once more is counted once', async () => {
    expect(await lab.store.readings('lab', 'repeated', at(0), at(1))).toHaveLength(2);
    const { measurements } = await recompute('repeated');
    expect(Object.values(measurements).map(({ changed }) => changed)).toEqual([0, 0, 0, 0]);
  });

  test('joins two sessions: the second is retracted', async () => {
    const { measurements } = await recompute('joining', {}, { fromUs: at(4) * 1000, toUs: at(4) * 1000 + 1 });
    expect(await pointsOf('joining', 'trip')).toEqual({
      0: { count: 3, max: 9, durationMs: 8 * minuteMs, retracted: false, revision: 1, final: true },
      8: { count: 1, max: 2, durationMs: 0, retracted: true, revision: 1, final: true },
      60: { count: 1, max: 3, durationMs: 0, retracted: false, revision: 0, final: true },
    });
    expect(measurements.trip).toMatchObject({ added: 0, changed: 2, unchanged: 0 });
  });

  test('changes how long states lasted, also in the minute after it', async () => {
    expect(await pointsOf('states', 'state_1m', { state: 'a' })).toMatchObject({ 1: { durationMs: 30_000 } });
    await recompute('states', {}, { fromUs: at(0.5) * 1000, toUs: at(0.5) * 1000 + 1 });
    expect(await pointsOf('states', 'state_1m', { state: 'a' })).toMatchObject({
      0: { durationMs: 30_000, entries: 1, revision: 1 },
      1: { durationMs: 0, entries: 0, revision: 1, final: true },
    });
    expect(await pointsOf('states', 'state_1m', { state: 'b' })).toMatchObject({
      1: { durationMs: 30_000, revision: 0 },
    });
    expect(await pointsOf('states', 'state_1m', { state: 'c' })).toMatchObject({
      0: { durationMs: 30_000, entries: 1, revision: 0 },
      1: { durationMs: 30_000, entries: 0, revision: 0 },
    });
  });
});

describe('what stays as it is', () => {
  test('windows that a processor can still correct, and they alone', async () => {
    const before = await pointsOf('open', 'rollup_1m');
    const { measurements } = await recompute('open');
    expect(await pointsOf('open', 'rollup_1m')).toEqual({
      ...before,
      0: expect.objectContaining({ count: 2, revision: 1 }),
    });
    expect(measurements.rollup_1m).toMatchObject({ changed: 1, unchanged: 1, skipped: { unsettled: 3 } });
    expect(measurements.rollup_1d).toMatchObject({ skipped: { unsettled: 1 } });
  });

  test('all of a device that is new in what is not in a snapshot yet', async () => {
    await lab.append([recordOf({ device: 'new', ts: at(0), fields: { t: 1 } })]);
    const series = { bucket: 'raw', measurement: 'telemetry', tags: { site: 'lab', device: 'new' } } as const;
    await lab.store.write([{ series, fields: { t: 1 }, timeUs: at(0) * 1000, k: 0 }]);
    const { measurements } = await recompute('new');
    expect(measurements.rollup_1m).toMatchObject({ added: 0, skipped: { unsettled: 1 } });
  });

  test('a point that a processor has yet to write once more', async () => {
    const { bus, context } = lab;
    const partition = 0;
    const [waiting, other] = [0, 1].map((minutes) => {
      const series = {
        bucket: 'rollup',
        measurement: 'rollup_1m',
        tags: { site: 'lab', device: 'x', field: 't' },
      } as const;
      return { series, fields: { count: 1 }, timeUs: at(minutes) * 1000, k: 0 };
    });
    const bytes = await new SnapshotEncoder(systemClock).encode(new Topology(context.options, [], 0), [waiting!], []);
    const offset = (await bus.read(context.topics.raw, partition, 0, 1)).endOffset;
    const snapshots = new SnapshotTopic(bus, context.topics.processorState, partition);
    const current = await snapshots.write('waiting', offset, bytes, 0);
    const committed = { offset, metadata: encodeNote({ current, previous: null }) };
    const held = await readHeld(context, partition, committed, () => {});
    expect([held.willWrite(waiting!), held.willWrite(other!)]).toEqual([true, false]);
    expect(held.settledUs('lab/x')).toBe(Number.POSITIVE_INFINITY);
  });

  test('all of it in a dry run, which tells what a run would do', async () => {
    const before = await pointsOf('dry', 'rollup_1m');
    const dry = await recompute('dry', { isDryRun: true });
    expect(await pointsOf('dry', 'rollup_1m')).toEqual(before);
    expect(dry.measurements.rollup_1m).toMatchObject({ changed: 1 });
    expect(await recompute('dry')).toEqual(dry);
  });

  test('windows whose readings may be gone, and points that count more readings than there are', async () => {
    const tags = { site: 'lab', device: 'old', field: 't' };
    const fields: Fields = { ...(await pointsOf('old', 'rollup_1m'))[1]!, count: 7 };
    const series = { bucket: 'rollup', measurement: 'rollup_1m', tags } as const;
    await lab.store.write([{ series, fields, timeUs: at(1) * 1000, k: 0 }]);
    const clock = new ManualClock(at(0.5) + dayMs);
    const { measurements } = await recompute('old', { context: { clock, rawRetentionMs: dayMs } });
    expect(measurements.rollup_1m).toMatchObject({ changed: 0, skipped: { readings_gone: 1, more_was_counted: 1 } });
    expect(await pointsOf('old', 'rollup_1m')).toMatchObject({ 1: { count: 7 } });
  });

  test('a session of which nothing tells where it begins', async () => {
    const before = await pointsOf('restless', 'trip');
    const { measurements } = await recompute('restless', {}, { fromUs: at(-20) * 1000, toUs: at(-10) * 1000 });
    expect(measurements.trip).toMatchObject({ changed: 0, skipped: { start_unknown: 1 } });
    expect(await pointsOf('restless', 'trip')).toEqual(before);
  });
});

describe('whatever it is interrupted at', () => {
  test('an outage is waited for', async () => {
    let calls = 0;
    const failing = <T>(call: () => Promise<T>): Promise<T> => {
      if (++calls % 2 === 1) throw new StoreUnavailableError('away');
      return call();
    };
    const store = withMethods(lab.store, {
      write: (points) => failing(() => lab.store.write(points)),
      windows: (query) => failing(() => lab.store.windows(query)),
      readings: (...query) => failing(() => lab.store.readings(...query)),
    });
    const told: string[] = [];
    const { measurements } = await recompute('outage', { context: { store, tell: (text) => told.push(text) } });
    expect(measurements.rollup_1m).toMatchObject({ changed: 1 });
    expect(told.length).toBeGreaterThan(3);
  });

  test('the next run ends as one that was not', async () => {
    const interrupted = new AbortController();
    const store = withMethods(lab.store, {
      write: async (points) => {
        const refusals = await lab.store.write(points);
        interrupted.abort();
        return refusals;
      },
    });
    const context = { store, signal: interrupted.signal };
    await expect(recompute('interrupted', { context })).rejects.toThrow();
    const { measurements } = await recompute('interrupted');
    expect(Object.values(measurements).reduce((sum, { changed }) => sum + changed, 0)).toBe(3);
    for (const measurement of ['rollup_1m', 'rollup_1h', 'rollup_1d']) {
      expect(Object.values(await pointsOf('interrupted', measurement))[0]).toMatchObject({ revision: 1 });
    }
  });
});

test('the example of docs/processing.md: the golden case `late`, and a day later', async () => {
  const input = readFileSync(new URL('../cases/late/input.ndjson', import.meta.url), 'utf8')
    .trim()
    .split('\n');
  const messages = input.map((line) => JSON.parse(line) as Line).filter(({ topic }) => topic.includes('oven'));
  // The case is on 1 January 2026, at noon.
  const shiftMs = noonMs - Date.UTC(2026, 0, 1, 12);
  const example = await openLab();
  await example.append([
    ...messages.map(({ payload: { ts, temperature }, receivedAtMs }) =>
      recordOf({ ts: ts + shiftMs, atMs: receivedAtMs + shiftMs, fields: { temperature } }),
    ),
    recordOf(afterwards),
  ]);
  await example.process();
  const { measurements } = await example.recompute({ fromUs: at(0) * 1000, toUs: at(20) * 1000 });
  expect(await pointsOf('d', 'rollup_1m', {}, example)).toMatchObject({
    0: { count: 3, mean: 82 / 3, revision: 3 },
    3: { count: 1, mean: 40, revision: 0 },
    5: { count: 2 },
    15: { count: 1 },
  });
  expect(await pointsOf('d', 'rollup_1h', {}, example)).toMatchObject({ 0: { count: 7 } });
  expect(await pointsOf('d', 'rollup_1d', {}, example)).toMatchObject({ [-720]: { count: 7 } });
  expect(measurements).toMatchObject({
    rollup_1m: { added: 1, changed: 1, unchanged: 2 },
    rollup_1h: { added: 0, changed: 1, unchanged: 0 },
    rollup_1d: { added: 0, changed: 1, unchanged: 0 },
  });
});

interface Line {
  readonly topic: string;
  readonly payload: { readonly ts: number; readonly temperature: number };
  readonly receivedAtMs: number;
}
