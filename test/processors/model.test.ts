/** Rollups against the slow and obvious way: all values of a minute in a list. */
import { expect, test } from 'vitest';
import { resolveConfig } from '../../core/config.ts';
import type { Fields } from '../../core/reading.ts';
import { Topology } from '../../processors/topology.ts';
import { unrulyFleet } from './records.ts';

const { processing } = resolveConfig({ env: {}, flags: {}, readText: () => '' });

test.each([1, 2, 3, 4])(
  'the last revision of every rollup tells exactly the readings of its minute that were not late, seed %i',
  (seed) => {
    const topology = new Topology(processing, [], 0);
    for (const record of unrulyFleet(seed, 4000)) topology.process(record);
    topology.finish();
    const { raw, late, rollups } = topology.outputs;
    expect(topology.ledger.duplicates).toBeGreaterThan(50);

    // Nothing is overwritten by something else: two points at one place say the same.
    const stored = new Map<string, string>();
    for (const { point } of raw) {
      const place = `${point.series.tags.device} ${point.timeUs} ${point.k}`;
      expect(stored.get(place) ?? JSON.stringify(point.fields)).toBe(JSON.stringify(point.fields));
      stored.set(place, JSON.stringify(point.fields));
    }
    expect(stored.size).toBeGreaterThanOrEqual(raw.length - late.length);

    const isLate = new Set(late.map(({ source, index }) => `${source.offset} ${index}`));
    const minutes = new Map<string, { timeUs: number; value: number }[]>();
    for (const { point, source, index } of raw) {
      if (isLate.has(`${source.offset} ${index}`)) continue;
      for (const [field, value] of Object.entries(point.fields)) {
        if (typeof value !== 'number') continue;
        const key = `${point.series.tags.device} ${field} ${Math.floor(point.timeUs / 60e6) * 60e6}`;
        minutes.set(key, [...(minutes.get(key) ?? []), { timeUs: point.timeUs, value }]);
      }
    }
    const told = new Map<string, Fields>();
    for (const { series, timeUs, fields } of rollups) {
      const key = `${series.tags.device} ${series.tags.field} ${timeUs}`;
      expect(fields.revision).toBe(told.has(key) ? (told.get(key)!.revision as number) + 1 : 0);
      told.set(key, fields);
    }
    expect([...told.keys()].sort()).toEqual([...minutes.keys()].sort());
    for (const [key, readings] of minutes) {
      const values = readings.map(({ value }) => value).sort((a, b) => a - b);
      const sum = values.reduce((total, value) => total + value, 0);
      const mean = sum / values.length;
      const squares = values.reduce((total, value) => total + (value - mean) ** 2, 0);
      const oldest = Math.min(...readings.map(({ timeUs }) => timeUs));
      const newest = Math.max(...readings.map(({ timeUs }) => timeUs));
      expect(told.get(key)).toMatchObject({
        count: values.length,
        sum: expect.closeTo(sum, 9),
        min: values[0],
        max: values.at(-1),
        mean: expect.closeTo(mean, 9),
        stddev: expect.closeTo(values.length > 1 ? Math.sqrt(squares / (values.length - 1)) : 0, 9),
        first: readings.find(({ timeUs }) => timeUs === oldest)!.value,
        last: readings.findLast(({ timeUs }) => timeUs === newest)!.value,
        p50: expect.closeTo(percentile(values, 0.5), 9),
        p95: expect.closeTo(percentile(values, 0.95), 9),
        p99: expect.closeTo(percentile(values, 0.99), 9),
        final: true,
      });
    }
  },
);

function percentile(sorted: readonly number[], q: number): number {
  const rank = q * (sorted.length - 1);
  const below = sorted[Math.floor(rank)]!;
  return below + (sorted[Math.ceil(rank)]! - below) * (rank % 1);
}
