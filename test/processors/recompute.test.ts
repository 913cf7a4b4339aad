/** `sluice recompute` over the embedded bus and store. Against the oracle: `recompute-oracle.test.ts`. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import type { NewRecord } from '../../bus/port.ts';
import { StoreUnavailableError } from '../../core/errors.ts';
import type { WindowSpec } from '../../core/windows-config.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { withMethods } from '../support/with-methods.ts';
import { openLab, type Points, recordOf, type Sent } from './recompute-rig.ts';

const minuteMs = 60_000;
const dayMs = 86_400_000;
/** A noon: the day before yesterday, so that what is sent then is neither too old for the store nor in the future. */
const noonMs = Math.floor(Date.now() / dayMs) * dayMs - 2 * dayMs + dayMs / 2;
const range = { fromUs: (noonMs - dayMs) * 1000, toUs: (noonMs + dayMs) * 1000 };

const at = (minutes: number) => noonMs + minutes * minuteMs;
/** So much later that nothing before it can change; in a window of its own. */
const afterwards = (device = 'd'): Sent => ({ device, ts: at(2000), fields: { beat: 1 } });
const trip: WindowSpec = {
  name: 'trip',
  type: 'session',
  gap: 5 * minuteMs,
  fields: ['*'],
  aggregates: ['count', 'max'],
};

/** Silence closes nothing, so that each point has been written once. */
function openSilent(options: Parameters<typeof openLab>[0] = {}) {
  return openLab({ idleAfterMs: 1e12, ...options });
}

/** Of one measurement: start in minutes since noon → fields of its points. */
function of(points: Points, measurement: string, tags: Readonly<Record<string, string>> = {}): Record<string, unknown> {
  const found = [...points.values()]
    .filter((point) => point.measurement === measurement && point.tags.field !== 'beat')
    .filter((point) => Object.entries(tags).every(([name, value]) => point.tags[name] === value))
    .sort((a, b) => a.timeUs - b.timeUs);
  return Object.fromEntries(found.map(({ timeUs, fields }) => [(timeUs / 1000 - noonMs) / minuteMs, fields]));
}

const sent = (...messages: Sent[]): NewRecord[] => messages.map(recordOf);

describe('a reading that came too late', () => {
  test('is in the windows that it missed, one revision on; other points are not written again', async () => {
    const lab = await openSilent();
    await lab.append(
      sent(
        { ts: at(0.1), fields: { t: 10 } },
        { ts: at(1.1), fields: { t: 20 } },
        { ts: at(30), fields: { t: 30 } },
        { ts: at(1.5), atMs: at(30), fields: { t: 40 } },
        afterwards(),
      ),
    );
    await lab.process();
    expect(of(await lab.points(), 'rollup_1m')).toMatchObject({ 0: { count: 1 }, 1: { count: 1, revision: 0 } });

    const { measurements } = await lab.recompute(range);
    const points = await lab.points();
    expect(of(points, 'rollup_1m')).toMatchObject({
      0: { count: 1, revision: 0 },
      1: { count: 2, sum: 60, first: 20, last: 40, revision: 1, final: true },
    });
    expect(of(points, 'rollup_1h')).toMatchObject({ 0: { count: 4, sum: 100, revision: 1 } });
    expect(of(points, 'rollup_1d')).toMatchObject({ [-720]: { count: 4, revision: 1 } });
    expect(measurements).toMatchObject({
      rollup_1m: { added: 0, changed: 1, unchanged: 2 },
      rollup_1h: { added: 0, changed: 1, unchanged: 0 },
      rollup_1d: { added: 0, changed: 1, unchanged: 0 },
    });
  });

  test('that is sent once more is counted once', async () => {
    const lab = await openSilent();
    await lab.append(
      sent(
        { ts: at(0), fields: { t: 10 } },
        { ts: at(30), fields: { t: 30 } },
        { ts: at(0), atMs: at(30), fields: { t: 10 } },
        afterwards(),
      ),
    );
    await lab.process();
    expect(await lab.store.readings('lab', 'd', at(0), at(1))).toHaveLength(2);
    const { measurements } = await lab.recompute(range);
    expect(Object.values(measurements).map(({ changed }) => changed)).toEqual([0, 0, 0]);
  });

  test('joins two sessions: the second is retracted', async () => {
    const lab = await openSilent({ windows: [trip] });
    await lab.append(
      sent(
        { ts: at(0), fields: { t: 1 } },
        { ts: at(8), fields: { t: 2 } },
        { ts: at(60), fields: { t: 3 } },
        { ts: at(4), atMs: at(60), fields: { t: 9 } },
        afterwards(),
      ),
    );
    await lab.process();
    const { measurements } = await lab.recompute({ fromUs: at(4) * 1000, toUs: at(4) * 1000 + 1 });
    expect(of(await lab.points(), 'trip')).toEqual({
      0: { count: 3, max: 9, durationMs: 8 * minuteMs, retracted: false, revision: 1, final: true },
      8: { count: 1, max: 2, durationMs: 0, retracted: true, revision: 1, final: true },
      60: { count: 1, max: 3, durationMs: 0, retracted: false, revision: 0, final: true },
    });
    expect(measurements.trip).toMatchObject({ added: 0, changed: 2, unchanged: 0 });
  });

  test('changes how long states lasted, also in the minute after it', async () => {
    const lab = await openSilent();
    await lab.append(
      sent(
        { ts: at(0), fields: { door: true } },
        { ts: at(1.5), fields: { door: true } },
        { ts: at(30), fields: { door: true } },
        { ts: at(0.5), atMs: at(30), fields: { door: false } },
        afterwards(),
      ),
    );
    await lab.process();
    await lab.recompute({ fromUs: at(0.5) * 1000, toUs: at(0.5) * 1000 + 1 });
    const points = await lab.points();
    const [open, shut] = [{ state: 'true' }, { state: 'false' }];
    expect(of(points, 'state_1m', open)).toMatchObject({
      0: { durationMs: 30_000, entries: 1, revision: 1 },
      1: { durationMs: 30_000, entries: 1, revision: 1 },
    });
    expect(of(points, 'state_1m', shut)).toMatchObject({ 0: { durationMs: 30_000 }, 1: { durationMs: 30_000 } });
  });
});

describe('what stays as it is', () => {
  test('windows that a processor can still correct, and they alone', async () => {
    const lab = await openSilent();
    const messages = [0, 1, 2, 3].map((minutes) => ({ ts: at(minutes), fields: { t: minutes } }));
    // The horizon is at minute 2; the late one is before it.
    await lab.append(
      sent(...messages, { ts: at(12.2), fields: { t: 5 } }, { ts: at(0.5), atMs: at(12.2), fields: { t: 9 } }),
    );
    await lab.process();
    const before = await lab.points();
    const { measurements } = await lab.recompute(range);
    expect(of(await lab.points(), 'rollup_1m')).toEqual({
      ...of(before, 'rollup_1m'),
      0: expect.objectContaining({ count: 2, revision: 1 }),
    });
    expect(measurements.rollup_1m).toMatchObject({ changed: 1, unchanged: 1, skipped: { unsettled: 3 } });
    expect(measurements.rollup_1d).toMatchObject({ skipped: { unsettled: 1 } });
  });

  test('everything of a partition that is not processed yet, and of a device that is new in what is not', async () => {
    const lab = await openSilent();
    await lab.append(sent({ ts: at(0), fields: { t: 1 } }, afterwards()));
    await lab.process();
    await lab.append(sent({ ts: at(0), device: 'other', fields: { t: 1 } }));
    const write = async (device: string) => {
      const series = { bucket: 'raw', measurement: 'telemetry', tags: { site: 'lab', device } } as const;
      await lab.store.write([{ series, fields: { t: 1 }, timeUs: at(0) * 1000, k: 0 }]);
    };
    await write('other');
    const { measurements } = await lab.recompute(range, { device: { site: 'lab', device: 'other' } });
    expect(measurements.rollup_1m).toMatchObject({ added: 0, skipped: { unsettled: 1 } });
  });

  test('all of it in a dry run, which tells what a run would do', async () => {
    const lab = await openSilent();
    await lab.append(
      sent(
        { ts: at(0), fields: { t: 1 } },
        { ts: at(30), fields: { t: 2 } },
        { ts: at(0.5), atMs: at(30), fields: { t: 3 } },
        afterwards(),
      ),
    );
    await lab.process();
    const before = await lab.points();
    const dry = await lab.recompute(range, { isDryRun: true });
    expect(await lab.points()).toEqual(before);
    expect(dry.measurements.rollup_1m).toMatchObject({ changed: 1 });
    expect(await lab.recompute(range)).toEqual(dry);
  });

  test('windows whose readings may be gone, and points that count more readings than there are', async () => {
    const lab = await openSilent();
    await lab.append(sent({ ts: at(0), fields: { t: 1 } }, { ts: at(1), fields: { t: 1 } }, afterwards()));
    await lab.process();
    const points = await lab.points();
    const place = [...points.values()].find(
      ({ measurement, timeUs }) => measurement === 'rollup_1m' && timeUs === at(1) * 1000,
    )!;
    const series = { bucket: 'rollup', measurement: 'rollup_1m', tags: place.tags } as const;
    await lab.store.write([{ series, fields: { ...place.fields, count: 7 }, timeUs: place.timeUs, k: 0 }]);
    const clock = new ManualClock(at(0.5) + dayMs);
    const { measurements } = await lab.recompute(range, { context: { clock, rawRetentionMs: dayMs } });
    expect(measurements.rollup_1m).toMatchObject({ changed: 0, skipped: { readings_gone: 1, more_was_counted: 1 } });
    expect(of(await lab.points(), 'rollup_1m')).toMatchObject({ 1: { count: 7 } });
  });

  test('a session of which nothing tells where it begins', async () => {
    const lab = await openSilent({ windows: [trip] });
    const minutes = Array.from({ length: 800 }, (_, i) => i * 4);
    await lab.append(sent(...minutes.map((m) => ({ ts: at(m - 3200), fields: { t: 1 } })), afterwards()));
    await lab.process();
    const before = of(await lab.points(), 'trip');
    const { measurements } = await lab.recompute({ fromUs: at(-20) * 1000, toUs: at(-10) * 1000 });
    expect(measurements.trip).toMatchObject({ changed: 0, skipped: { start_unknown: 1 } });
    expect(of(await lab.points(), 'trip')).toEqual(before);
  });
});

describe('whatever it is interrupted at', () => {
  test('an outage is waited for', async () => {
    const lab = await openSilent();
    await lab.append(
      sent(
        { ts: at(0), fields: { t: 1 } },
        { ts: at(30), fields: { t: 2 } },
        { ts: at(0.5), atMs: at(30), fields: { t: 3 } },
        afterwards(),
      ),
    );
    await lab.process();
    let outages = 0;
    const failing = <T>(call: () => Promise<T>): Promise<T> => {
      if (++outages % 2 === 1) throw new StoreUnavailableError('away', { retryAfterMs: 1 });
      return call();
    };
    const store = withMethods(lab.store, {
      write: (points) => failing(() => lab.store.write(points)),
      windows: (query) => failing(() => lab.store.windows(query)),
      readings: (...query) => failing(() => lab.store.readings(...query)),
    });
    const told: string[] = [];
    const { measurements } = await lab.recompute(range, { context: { store, tell: (text) => told.push(text) } });
    expect(measurements.rollup_1m).toMatchObject({ changed: 1 });
    expect(told.length).toBeGreaterThan(3);
  });

  test('the next run ends as one that was not', async () => {
    const lab = await openSilent();
    const devices = ['a', 'b', 'c'];
    await lab.append(
      devices.flatMap((device) =>
        sent(
          { device, ts: at(0), fields: { t: 1 } },
          { device, ts: at(30), fields: { t: 2 } },
          { device, ts: at(0.5), atMs: at(30), fields: { t: 3 } },
          afterwards(device),
        ),
      ),
    );
    await lab.process();
    const interrupted = new AbortController();
    const store = withMethods(lab.store, {
      write: async (points) => {
        const refusals = await lab.store.write(points);
        interrupted.abort();
        return refusals;
      },
    });
    await expect(lab.recompute(range, { context: { store, signal: interrupted.signal } })).rejects.toThrow();
    const { measurements } = await lab.recompute(range);
    expect(measurements.rollup_1m!.changed).toBeLessThan(3);
    for (const device of devices) {
      const points = of(await lab.points(), 'rollup_1m', { device });
      expect(points[0]).toMatchObject({ count: 2, sum: 4, revision: 1 });
    }
  });
});

test('the example of docs/processing.md: the golden case `late`, and a day later', async () => {
  const lab = await openLab();
  const input = readFileSync(new URL('../cases/late/input.ndjson', import.meta.url), 'utf8')
    .trim()
    .split('\n');
  const messages = input.map(
    (line) => JSON.parse(line) as { topic: string; payload: { ts: number; temperature: number }; receivedAtMs: number },
  );
  const oven = messages.filter(({ topic }) => topic.includes('oven'));
  // The case is on 1 January 2026, at noon.
  const shiftMs = noonMs - Date.UTC(2026, 0, 1, 12);
  await lab.append([
    ...oven.map(({ payload: { ts, temperature }, receivedAtMs }) =>
      recordOf({ ts: ts + shiftMs, atMs: receivedAtMs + shiftMs, fields: { temperature } }),
    ),
    recordOf(afterwards()),
  ]);
  await lab.process();
  const { measurements } = await lab.recompute({ fromUs: at(0) * 1000, toUs: at(20) * 1000 });
  const points = await lab.points();
  expect(of(points, 'rollup_1m')).toMatchObject({
    0: { count: 3, mean: 82 / 3, revision: 3 },
    3: { count: 1, mean: 40, revision: 0 },
  });
  expect(of(points, 'rollup_1h')).toMatchObject({ 0: { count: 7, revision: 2 } });
  expect(of(points, 'rollup_1d')).toMatchObject({ [-720]: { count: 7, revision: 2 } });
  expect(measurements).toMatchObject({
    rollup_1m: { added: 1, changed: 1, unchanged: 2 },
    rollup_1h: { changed: 1 },
    rollup_1d: { changed: 1 },
  });
});
