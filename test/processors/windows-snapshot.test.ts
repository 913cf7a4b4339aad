/** A snapshot under another list of windows: what did not change goes on, the rest is dropped or begins anew. */
import { expect, test } from 'vitest';
import { resolveConfig } from '../../core/config.ts';
import { Topology } from '../../processors/topology.ts';
import { rawRecord, unrulyFleet } from './records.ts';

const sum = { name: 'sum', type: 'tumbling', size: '5m', aggregates: ['sum', 'count'] };
const load = { name: 'load', type: 'hopping', size: '4m', advance: '1m', aggregates: ['mean', 'increase'] };
const trip = { name: 'trip', type: 'session', gap: '20s', aggregates: ['count'] };

function topologyOf(windows: readonly object[], processing: object = {}): Topology {
  const config = resolveConfig({
    file: { name: 'sluice.yaml', content: { windows, processing: { rollups: ['1m'], ...processing } } },
    env: {},
    flags: {},
    readText: () => '',
  });
  return new Topology({ ...config.processing, windows: config.windows }, [], 0);
}

/** What came out of windows and states, and has not been taken yet. */
function taken(topology: Topology, measurement: string): unknown[] {
  return topology.outputs.rollups.filter(({ series }) => series.measurement === measurement);
}

const records = unrulyFleet(5, 1600);
const before = records.slice(0, 800);
const after = records.slice(800);

test('windows go on from a snapshot as if nothing had happened', () => {
  const whole = topologyOf([sum, load, trip]);
  let torn = topologyOf([sum, load, trip]);
  const told: unknown[] = [];
  for (const [i, record] of records.entries()) {
    whole.process(record);
    torn.process(record);
    if (i % 200 !== 0) continue;
    told.push(...torn.outputs.rollups);
    const next = topologyOf([sum, load, trip]);
    next.restore(torn.snapshot());
    torn = next;
  }
  for (const topology of [whole, torn]) topology.finish();
  expect([...told, ...torn.outputs.rollups]).toEqual(whole.outputs.rollups);
  for (const name of ['sum', 'load', 'trip', 'state_1m']) expect(taken(whole, name).length).toBeGreaterThan(5);
});

test.each([
  ['another entry is added in front', [trip, sum]],
  ['another entry goes', [sum]],
  ['another entry changes', [{ ...load, size: '8m' }, sum]],
])('an entry that is as it was goes on when %s', (_, windows) => {
  const [same, other] = [topologyOf([sum, load]), topologyOf(windows)];
  const first = topologyOf([sum, load]);
  for (const record of before) first.process(record);
  const snapshot = first.snapshot();
  for (const topology of [same, other]) {
    topology.restore(snapshot);
    for (const record of after) topology.process(record);
    topology.finish();
  }
  expect(taken(other, 'sum')).toEqual(taken(same, 'sum'));
  expect(taken(other, 'rollup_1m')).toEqual(taken(same, 'rollup_1m'));
  expect(taken(other, 'state_1m')).toEqual(taken(same, 'state_1m'));
  expect(taken(same, 'sum').length).toBeGreaterThan(5);
});

test('an entry that changed, and states that are turned on, begin with what comes', () => {
  const first = topologyOf([sum], { states: false });
  first.process(rawRecord({ atMs: 0, payload: { ts: Date.UTC(2026, 0, 1, 12), t: 1, door: true } }, 0));
  const next = topologyOf([{ ...sum, fields: ['t'] }]);
  next.restore(first.snapshot());
  next.process(rawRecord({ atMs: 1000, payload: { ts: Date.UTC(2026, 0, 1, 12, 0, 1), t: 2, door: true } }, 1));
  next.finish();
  expect(taken(next, 'sum')).toMatchObject([{ fields: { sum: 2, count: 1, revision: 0, final: true } }]);
  expect(taken(next, 'state_1m')).toMatchObject([{ fields: { durationMs: 59_000, entries: 1 } }]);
});

test('without windows and states no device has anything of them', () => {
  const topology = topologyOf([], { states: false });
  for (const record of before) topology.process(record);
  topology.finish();
  const measurements = new Set(topology.outputs.rollups.map(({ series }) => series.measurement));
  expect([...measurements]).toEqual(['rollup_1m']);
});
