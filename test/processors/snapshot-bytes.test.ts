/** The bytes of a snapshot: all comes back, and writing a large one leaves room for everything else. */
import { setImmediate } from 'node:timers';
import { expect, test } from 'vitest';
import type { NewRecord } from '../../bus/port.ts';
import { systemClock } from '../../core/clock.ts';
import { resolveConfig } from '../../core/config.ts';
import { readSnapshot, SnapshotEncoder } from '../../processors/snapshot.ts';
import { Topology } from '../../processors/topology.ts';
import type { Point } from '../../store/port.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { rawRecord, startMs, unrulyFleet } from './records.ts';

const { processing } = resolveConfig({ env: {}, flags: {}, readText: () => '' });

function topologyOf(records: readonly ReturnType<typeof rawRecord>[]): Topology {
  const topology = new Topology(processing, [], 0);
  for (const record of records) topology.process(record);
  return topology;
}

const series = { bucket: 'rollup', measurement: 'rollup_1m', tags: { site: 'lab', device: 'd', field: 'f' } } as const;
const settlePoints: Point[] = [
  { series, fields: { count: 2, mean: 0.1 + 0.2, final: true, last: 'é' }, timeUs: startMs * 1000, k: 0 },
  { series: { ...series, tags: {} }, fields: { min: -1e-300 }, timeUs: -5, k: 999 },
  { series, fields: { count: 3 }, timeUs: startMs * 1000 + 60_000_000, k: 1 },
];
const settleAlerts: NewRecord[] = [
  { key: 'a', value: Buffer.from('{}'), headers: { h: 'é' }, timestampMs: startMs },
  { key: 'b', value: null, headers: {}, timestampMs: 0.5 },
  { key: 'c', value: Buffer.alloc(0), headers: {}, timestampMs: 1 },
];

test('everything comes back, and a series is one object again', async () => {
  const topology = topologyOf(unrulyFleet(3, 400));
  const snapshot = readSnapshot(await new SnapshotEncoder(systemClock).encode(topology, settlePoints, settleAlerts));
  expect(snapshot.settlePoints).toEqual(settlePoints);
  expect(snapshot.settlePoints[2]!.series).toBe(snapshot.settlePoints[0]!.series);
  expect(snapshot.settleAlerts).toEqual(settleAlerts);
  expect(snapshot.topology).toEqual(topology.snapshot());
  const restored = new Topology(processing, [], 0);
  restored.restore(snapshot.topology);
  expect(restored.snapshot()).toEqual(topology.snapshot());
});

test('a large one is written in slices; those that are asked for meanwhile wait and do not mix', async () => {
  const large = topologyOf(
    Array.from({ length: 60_000 }, (_, i) =>
      rawRecord({ device: `d${i % 300}`, payload: { ts: startMs + i * 10, a: i / 7, b: i / 11 }, atMs: i * 10 }, i),
    ),
  );
  const small = topologyOf(unrulyFleet(5, 50));
  const expected = [large.snapshot(), small.snapshot()].map((bytes) => Buffer.from(bytes));
  const encoder = new SnapshotEncoder(systemClock);
  let turns = 0;
  let isDone = false;
  const turn = (): void => {
    turns++;
    if (!isDone) setImmediate(turn);
  };
  setImmediate(turn);
  const encoded = await Promise.all([encoder.encode(large, settlePoints, []), encoder.encode(small, [], settleAlerts)]);
  isDone = true;
  expect(encoded.map((bytes, i) => readSnapshot(bytes).topology.equals(expected[i]!))).toEqual([true, true]);
  expect(turns).toBeGreaterThanOrEqual(Math.floor(expected[0]!.length / 2 ** 20));
  expect(expected[0]!.length).toBeGreaterThan(2 ** 20);
});

test('one that took long is followed by a rest, a short one is not', async () => {
  const clock = new ManualClock(startMs);
  const encoder = new SnapshotEncoder(clock);
  const stateThatTakes = (ms: number) => ({
    *save() {
      clock.advance(ms);
      yield;
    },
  });
  await encoder.encode(stateThatTakes(9), [], []);
  expect(encoder.isFree).toBe(true);
  const encoding = encoder.encode(stateThatTakes(100), [], []);
  expect(encoder.isFree).toBe(false);
  await encoding;
  clock.advance(2899);
  expect(encoder.isFree).toBe(false);
  clock.advance(1);
  expect(encoder.isFree).toBe(true);
});
