/** `sluice recompute --from-bus`: a store that was lost, and one that was not. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { systemClock } from '../../core/clock.ts';
import { silentLogger } from '../../core/log.ts';
import { openStore } from '../../pipeline.ts';
import type { Store } from '../../store/port.ts';
import { eventually } from '../support/eventually.ts';
import { storedPoints } from '../support/oracle/stored.ts';
import { withMethods } from '../support/with-methods.ts';
import { type Lab, openLab, positionOf, recordOf } from './recompute-rig.ts';
import { startMs, unrulyFleet } from './records.ts';

vi.setConfig({ testTimeout: 60_000 });

const dayMs = 86_400_000;
const minuteMs = 60_000;
/** The fleet, as of the day before yesterday. */
const shiftMs = Math.floor(Date.now() / dayMs) * dayMs - 2 * dayMs + dayMs / 2 - startMs;
const devices = ['s0', 's1', 's2', 's3', 's4', 's5'];

function fleet(seed: number, count: number) {
  return unrulyFleet(seed, count).map(({ offset: _offset, partition: _partition, value, timestampMs, ...record }) => {
    const text = value?.toString().replace(/"ts":(\d+)/, (_, ts: string) => `"ts":${Number(ts) + shiftMs}`);
    return { ...record, value: text === undefined ? null : Buffer.from(text), timestampMs: timestampMs + shiftMs };
  });
}

async function openEmptyStore(lab: Lab): Promise<{ store: Store; contents: () => Promise<unknown> }> {
  const dataDir = await mkdtemp(join(tmpdir(), 'sluice-empty-'));
  const config = { ...lab.backend.config, dataDir };
  const store = openStore(config, systemClock, silentLogger);
  await store.start();
  onTestFinished(async () => {
    await store.close();
    await rm(dataDir, { recursive: true });
  });
  return { store, contents: async () => [await readingsOf(store), await storedPoints(config)] };
}

function readingsOf(store: Store) {
  return Promise.all(devices.map((device) => store.readings('lab', device, 0, 1e13)));
}

test('an emptied store gets all that the bus holds: the same readings and points as before, revisions too', async () => {
  const lab = await openLab();
  await lab.append(fleet(3, 1500));
  await lab.process();
  const before = [await readingsOf(lab.store), await lab.points()];
  const empty = await openEmptyStore(lab);
  const { readings } = await lab.fromBus({ context: { store: empty.store } });
  expect(readings).toBeGreaterThan(1000);
  expect(await empty.contents()).toEqual(before);
});

test('where nothing was lost nothing is written but the same readings', async () => {
  const lab = await openLab();
  await lab.append(fleet(4, 800));
  await lab.process();
  const before = [await readingsOf(lab.store), await lab.points()];
  const { measurements } = await lab.fromBus();
  expect([await readingsOf(lab.store), await lab.points()]).toEqual(before);
  for (const [name, { added, changed }] of Object.entries(measurements)) {
    if (name !== 'telemetry') expect([name, added, changed]).toEqual([name, 0, 0]);
  }
});

test('of one device and a range: no others', async () => {
  const lab = await openLab();
  await lab.append(fleet(5, 500));
  await lab.process();
  const empty = await openEmptyStore(lab);
  const range = { fromUs: (startMs + shiftMs + 60_000) * 1000, toUs: (startMs + shiftMs + 120_000) * 1000 };
  await lab.fromBus({ range, device: { site: 'lab', device: 's0' }, context: { store: empty.store } });
  const [readings, points] = (await empty.contents()) as [
    { timeUs: number }[][],
    Awaited<ReturnType<typeof storedPoints>>,
  ];
  expect(readings.slice(1).flat()).toEqual([]);
  expect(readings[0]!.length).toBeGreaterThan(0);
  expect(readings[0]!.every(({ timeUs }) => timeUs >= range.fromUs && timeUs < range.toUs)).toBe(true);
  const minutes = [...points.values()].filter(({ measurement }) => measurement === 'rollup_1m');
  expect(new Set(minutes.map(({ timeUs }) => timeUs))).toEqual(new Set([range.fromUs]));
});

test('what a processor corrects while it is written here is not undone', async () => {
  const lab = await openLab();
  const ts = startMs + shiftMs;
  const messages = [0, 1, 2].map((minutes) => recordOf({ ts: ts + minutes * minuteMs, fields: { t: 1 } }));
  await lab.append(messages);
  const processor = await lab.startProcessor();
  await eventually(() => positionOf(processor) === messages.length);
  let corrected = false;
  const store = withMethods(lab.store, {
    // The point as it was is lost, and found to be: so it is written here, and then later than its correction.
    windows: async () => [],
    write: async (points) => {
      if (!corrected && points.some(({ series }) => series.measurement === 'rollup_1m')) {
        corrected = true;
        await lab.append([recordOf({ ts: ts + 30_000, atMs: ts + 2 * minuteMs, fields: { t: 5 } })]);
        await eventually(() => positionOf(processor) === messages.length + 1);
        expect(await minute()).toMatchObject({ count: 2, sum: 6 });
      }
      return lab.store.write(points);
    },
  });
  const minute = async () => {
    const query = { site: 'lab', device: 'd', field: 't', fromMs: ts, toMs: ts + 1, limit: 1 };
    return (await lab.store.rollups(query, '1m'))[0]?.fields;
  };
  await lab.fromBus({ context: { store } });
  expect(corrected).toBe(true);
  expect(await minute()).toMatchObject({ count: 2, sum: 6 });
});
