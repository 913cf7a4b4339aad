/** Rollups against the slow and obvious way: all values of a minute, an hour or a day in a list. */
import { expect, test } from 'vitest';
import { resolveConfig } from '../../core/config.ts';
import type { Fields } from '../../core/reading.ts';
import { Topology } from '../../processors/topology.ts';
import { unrulyFleet } from './records.ts';

const { processing } = resolveConfig({ env: {}, flags: {}, readText: () => '' });
const levels = { rollup_1m: 60e6, rollup_1h: 3600e6, rollup_1d: 86_400e6 };

test.each([1, 2, 3, 4])(
  'the last revision of every rollup tells exactly the readings of its window that were not late, seed %i',
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
    const windows = new Map<string, { timeUs: number; value: number }[]>();
    for (const { point, source, index } of raw) {
      if (isLate.has(`${source.offset} ${index}`)) continue;
      for (const [field, value] of Object.entries(point.fields)) {
        if (typeof value !== 'number') continue;
        for (const [measurement, widthUs] of Object.entries(levels)) {
          const startUs = Math.floor(point.timeUs / widthUs) * widthUs;
          const key = `${measurement} ${point.series.tags.device} ${field} ${startUs}`;
          windows.set(key, [...(windows.get(key) ?? []), { timeUs: point.timeUs, value }]);
        }
      }
    }
    const told = new Map<string, Fields>();
    for (const { series, timeUs, fields } of rollups) {
      if (!(series.measurement in levels)) continue;
      const key = `${series.measurement} ${series.tags.device} ${series.tags.field} ${timeUs}`;
      expect(fields.revision).toBe(told.has(key) ? (told.get(key)!.revision as number) + 1 : 0);
      told.set(key, fields);
    }
    expect([...told.keys()].sort()).toEqual([...windows.keys()].sort());
    for (const [key, readings] of windows) {
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
        final: true,
      });
      for (const [name, q] of [
        ['p50', 0.5],
        ['p95', 0.95],
        ['p99', 0.99],
      ] as const) {
        // Exact up to 512 values; beyond, between the values half a per cent of the ranks to both sides.
        const slack = values.length <= 512 ? 0 : 0.005 + 2 / values.length;
        const estimate = told.get(key)![name];
        expect(estimate).toBeGreaterThanOrEqual(percentile(values, q - slack) - 1e-6);
        expect(estimate).toBeLessThanOrEqual(percentile(values, Math.min(1, q + slack)) + 1e-6);
      }
    }
  },
);

function percentile(sorted: readonly number[], q: number): number {
  const rank = q * (sorted.length - 1);
  const below = sorted[Math.floor(rank)]!;
  return below + (sorted[Math.ceil(rank)]! - below) * (rank % 1);
}
