/** Accepted readings on a topic of their own, and the windows that late ones have missed. */
import { describe, expect, onTestFinished, test } from 'vitest';
import type { BusRecord } from '../../bus/port.ts';
import { resolveConfig } from '../../core/config.ts';
import { topicSpecs } from '../../core/topics.ts';
import { lateRecord } from '../../processors/records.ts';
import { Topology } from '../../processors/topology.ts';
import { CrashPoint, type CrashStep, crashingBus, crashingStore } from '../support/crash.ts';
import { rawRecord, startMs, unrulyFleet } from './records.ts';
import { drained, openRig, type Rig, readAll, topics } from './rig.ts';

const records = unrulyFleet(11, 400);
const options = { readings: true, snapshotEveryRecords: 100, maxBatchRecords: 40, sessionTimeoutMs: 3000 };

async function openRigWithReadings(): Promise<Rig> {
  const rig = await openRig([]);
  onTestFinished(() => rig.close());
  const settings = { prefix: 'iot.', partitions: 1, rawRetentionMs: null, rawRetentionBytes: null };
  expect(await rig.bus.createTopics(topicSpecs(settings, options))).toEqual([topics.readings]);
  await rig.append(records);
  return rig;
}

function identityOf({ headers }: BusRecord): string {
  return ['source.topic', 'source.partition', 'source.offset', 'source.index'].map((name) => headers[name]).join(' ');
}

/** What a consumer that knows the identity makes of the topic. */
async function readingsOn(rig: Rig): Promise<unknown[]> {
  const known = new Map<string, unknown>();
  for (const record of await readAll(rig.bus, topics.readings)) {
    const { key, value, timestampMs } = record;
    const reading = { key, timestampMs, body: JSON.parse(value!.toString()) };
    const before = known.get(identityOf(record));
    if (before !== undefined) expect(reading).toEqual(before);
    known.set(identityOf(record), reading);
  }
  return [...known.values()];
}

test.each<CrashStep>([
  { call: `append ${topics.readings}`, when: 'after', nth: 3 },
  { call: 'commit', when: 'before', nth: 2 },
])('each accepted reading is there, under one identity, after a crash $when $call', async (step) => {
  const rig = await openRigWithReadings();
  const point = new CrashPoint(step);
  const crashed = rig.processor(options, { bus: crashingBus(rig.bus, point), store: crashingStore(rig.store, point) });
  await crashed.start();
  await point.happened;
  await expect(crashed.failed).rejects.toThrow('crashed on purpose');
  await crashed.close(5000);
  const next = rig.processor(options);
  await next.start();
  const { accepted } = await drained(next, records.length);
  await next.close(5000);

  const readings = await readingsOn(rig);
  expect(readings).toHaveLength(accepted);
  expect(readings).toEqual(expectedReadings());
});

/** Straight from the stages. */
function expectedReadings(): unknown[] {
  const topology = new Topology(processing, [], 0);
  return records.flatMap((record) => {
    topology.outputs.clear();
    topology.process(record);
    return topology.outputs.raw.map(({ reading, late }) => {
      const { site, device, timeUs, seq, clock, fields } = reading;
      return {
        key: record.key,
        timestampMs: record.timestampMs,
        body: { site, device, timeUs, seq, clock, fields, late },
      };
    });
  });
}

const { processing } = resolveConfig({ env: {}, flags: {}, readText: () => '' });

describe('a late record', () => {
  const content = {
    windows: [
      { name: 'fives', type: 'tumbling', size: '5m', aggregates: ['count'] },
      { name: 'hops', type: 'hopping', size: '10m', advance: '2m', fields: ['temp*'], aggregates: ['count'] },
      { name: 'others', type: 'tumbling', size: '1h', fields: ['rpm'], aggregates: ['count'] },
      { name: 'trip', type: 'session', gap: '90s', aggregates: ['count'] },
    ],
    processing: { rollups: ['1m', '1d'], timeZone: 'Europe/Berlin' },
  };
  const config = resolveConfig({ file: { name: 'sluice.yaml', content }, env: {}, flags: {}, readText: () => '' });

  function missedBy(fields: object): unknown {
    const topology = new Topology({ ...config.processing, windows: config.windows }, [], 0);
    topology.process(rawRecord({ payload: { ts: startMs + 3_600_000, temperature: 1 }, atMs: 3_600_000 }, 0));
    topology.process(rawRecord({ payload: { ts: startMs + 61_000, ...fields }, atMs: 3_600_000 }, 1));
    const { value } = lateRecord('raw', topology.outputs.late[0]!);
    return JSON.parse(value!.toString()).windows;
  }

  test('names every window that the reading missed, and no other', () => {
    expect(missedBy({ temperature: 2, door: true })).toEqual([
      { name: 'rollup_1m', every: '1m', start: '2026-01-01T12:01:00.000Z', end: '2026-01-01T12:02:00.000Z' },
      { name: 'rollup_1d', every: '1d', start: '2025-12-31T23:00:00.000Z', end: '2026-01-01T23:00:00.000Z' },
      { name: 'state_1m', start: '2026-01-01T12:01:00.000Z', end: '2026-01-01T12:02:00.000Z' },
      { name: 'fives', start: '2026-01-01T12:00:00.000Z', end: '2026-01-01T12:05:00.000Z' },
      { name: 'hops', start: '2026-01-01T11:52:00.000Z', end: '2026-01-01T12:10:00.000Z', count: 5 },
      { name: 'trip', start: '2026-01-01T12:01:01.000Z', end: '2026-01-01T12:02:31.000Z' },
    ]);
  });

  test('with states alone: their minute', () => {
    expect(missedBy({ door: true })).toEqual([expect.objectContaining({ name: 'state_1m' })]);
  });
});
