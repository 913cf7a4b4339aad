/** The reading thread: a slow query never delays a write. No transaction outlives a call. */
import { parentPort, workerData } from 'node:worker_threads';
import type { Fields, FieldValue } from '../../core/reading.ts';
import type {
  HistoryPoint,
  HistoryQuery,
  NewestReading,
  RollupEvery,
  RollupPoint,
  StoredReading,
  StoredWindow,
  WindowsQuery,
} from '../port.ts';
import { boundUs, pointTimeMs } from '../time.ts';
import type { ReaderCalls } from './calls.ts';
import { openDatabase } from './schema.ts';
import { keysOfDevice, seriesKey } from './series-key.ts';
import { answerCalls } from './thread.ts';

interface StoredPoint {
  readonly time_us: number;
  readonly k: number;
  readonly fields: string;
}

interface WindowRow {
  readonly tags: string;
  readonly time_us: number;
  readonly fields: string;
}

interface NewestRow {
  readonly tags: string;
  readonly time_us: number;
  readonly k: number;
  readonly field: string;
  readonly value: string;
}

const database = openDatabase(workerData as string);
database.exec('PRAGMA query_only = ON');

const pointsOfSeries = `
  SELECT time_us, k, fields FROM points
  WHERE series_id = (SELECT id FROM series WHERE key = ?) AND time_us >= ? AND time_us < ?`;
const selectNewestFirst = database.prepare(`${pointsOfSeries} ORDER BY time_us DESC, k DESC`);
const selectOldestFirst = database.prepare(`${pointsOfSeries} ORDER BY time_us, k`);
const selectNewest = database.prepare(`
  SELECT tags, time_us, k, field, value FROM newest JOIN series ON series.id = series_id WHERE time_us >= ?
  ORDER BY series_id, time_us, k`);

const selectWindows = database.prepare(`
  SELECT tags, time_us, fields FROM series JOIN points ON series_id = series.id
  WHERE key >= ? AND key < ? AND time_us >= ? AND time_us < ? ORDER BY time_us DESC`);

function history({ site, device, field, fromMs, toMs, limit }: HistoryQuery): HistoryPoint[] {
  const key = seriesKey({ bucket: 'raw', measurement: 'telemetry', tags: { site, device } });
  const points: HistoryPoint[] = [];
  for (const row of selectNewestFirst.iterate(key, boundUs(fromMs), boundUs(toMs))) {
    if (points.length >= limit) break;
    const { time_us, k, fields } = row as unknown as StoredPoint;
    const value = (JSON.parse(fields) as Fields)[field];
    if (value !== undefined) points.push({ timeMs: pointTimeMs(time_us, k), value });
  }
  return points.reverse();
}

function rollups({ site, device, field, fromMs, toMs, limit }: HistoryQuery, every: RollupEvery): RollupPoint[] {
  const key = seriesKey({ bucket: 'rollup', measurement: `rollup_${every}`, tags: { site, device, field } });
  const points: RollupPoint[] = [];
  for (const row of selectNewestFirst.iterate(key, boundUs(fromMs), boundUs(toMs))) {
    if (points.length >= limit) break;
    const { time_us, k, fields } = row as unknown as StoredPoint;
    points.push({ timeMs: pointTimeMs(time_us, k), fields: JSON.parse(fields) as Fields });
  }
  return points.reverse();
}

function newest(sinceMs: number, limit: number): NewestReading[] {
  const devices = new Map<string, { timeMs: number; fields: [string, FieldValue][] }>();
  for (const row of selectNewest.iterate(boundUs(sinceMs))) {
    const { tags, time_us, k, field, value } = row as unknown as NewestRow;
    const entry = devices.get(tags) ?? { timeMs: 0, fields: [] };
    // Rows of a device come in the order of their times.
    entry.timeMs = pointTimeMs(time_us, k);
    entry.fields.push([field, JSON.parse(value)]);
    devices.set(tags, entry);
  }
  return [...devices]
    .sort(([, a], [, b]) => b.timeMs - a.timeMs)
    .slice(0, limit)
    .map(([tags, { timeMs, fields }]) => {
      const { site = '', device = '' } = JSON.parse(tags) as Record<string, string>;
      return { site, device, timeMs, fields: Object.fromEntries(fields) };
    });
}

function readings(site: string, device: string, fromMs: number, toMs: number): StoredReading[] {
  const key = seriesKey({ bucket: 'raw', measurement: 'telemetry', tags: { site, device } });
  const rows = selectOldestFirst.all(key, boundUs(fromMs), boundUs(toMs)) as unknown as StoredPoint[];
  return rows.map(({ time_us, k, fields }) => ({ timeUs: time_us, k, fields: JSON.parse(fields) as Fields }));
}

function windows(query: WindowsQuery): StoredWindow[] {
  const { measurement, site, device, field, fromMs, toMs, limit = Number.POSITIVE_INFINITY } = query;
  const found: StoredWindow[] = [];
  const keys = keysOfDevice('rollup', measurement, device);
  for (const row of selectWindows.iterate(...keys, boundUs(fromMs), boundUs(toMs))) {
    if (found.length >= limit) break;
    const { tags: text, time_us, fields } = row as unknown as WindowRow;
    const tags = JSON.parse(text) as Record<string, string>;
    if (tags.site !== site || (field !== undefined && tags.field !== field)) continue;
    found.push({ tags, timeUs: time_us, fields: JSON.parse(fields) as Fields });
  }
  return found.reverse();
}

answerCalls<ReaderCalls>(parentPort!, {
  history,
  rollups,
  newest,
  readings,
  windows,
  close: () => database.close(),
});
