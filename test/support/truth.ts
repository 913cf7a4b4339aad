/**
 * The client's own list of what was acknowledged, held against what is stored. Imports nothing of the processor: what
 * a window must hold is computed here once more, the slow and obvious way.
 */
import type { Fields } from '../../core/reading.ts';
import type { AcknowledgedReading } from '../../simulator/simulator.ts';
import type { Store } from '../../store/port.ts';

export type { AcknowledgedReading };

export interface Differences {
  readonly lost: string[];
  readonly doubled: string[];
  readonly altered: string[];
  readonly rollups: string[];
}

const MINUTE_MS = 60_000;

/** Everything that is not as the list says; four empty lists when it is. */
export async function differences(list: readonly AcknowledgedReading[], store: Store): Promise<Differences> {
  const found: Differences = { lost: [], doubled: [], altered: [], rollups: [] };
  for (const readings of byDevice(list).values()) {
    await compareReadings(readings, store, found);
    await compareRollups(readings, store, found);
  }
  return found;
}

export function countDifferences(found: Differences): number {
  return found.lost.length + found.doubled.length + found.altered.length + found.rollups.length;
}

async function compareReadings(readings: readonly AcknowledgedReading[], store: Store, found: Differences) {
  const { site, device } = readings[0]!;
  const [fromMs, toMs] = range(readings);
  const stored = Map.groupBy(await store.readings(site, device, fromMs, toMs), ({ timeUs }) => timeUs);
  for (const { seq, timeMs, fields } of readings) {
    const points = stored.get(timeMs * 1000) ?? [];
    const name = `${site}/${device} seq ${seq} at ${timeMs}`;
    if (points.length === 0) found.lost.push(name);
    else if (points.length > 1) found.doubled.push(name);
    else if (!sameFields(points[0]!.fields, fields)) {
      found.altered.push(`${name}: ${JSON.stringify(points[0]!.fields)} against ${JSON.stringify(fields)}`);
    }
  }
}

async function compareRollups(readings: readonly AcknowledgedReading[], store: Store, found: Differences) {
  const { site, device } = readings[0]!;
  const [fromMs, toMs] = range(readings);
  for (const field of numericFields(readings)) {
    const query = { site, device, field, fromMs: floorMinute(fromMs), toMs, limit: 100_000 };
    const stored = new Map((await store.rollups(query, '1m')).map(({ timeMs, fields }) => [timeMs, fields]));
    const minutes = Map.groupBy(readings, ({ timeMs }) => floorMinute(timeMs));
    for (const [minute, inMinute] of minutes) {
      const values = inMinute.map(({ fields }) => fields[field]).filter((value) => typeof value === 'number');
      const expected = {
        count: values.length,
        sum: values.reduce((sum, value) => sum + value, 0),
        min: Math.min(...values),
        max: Math.max(...values),
      };
      const rollup = stored.get(minute);
      const name = `${site}/${device} ${field} ${new Date(minute).toISOString()}`;
      if (rollup === undefined) found.rollups.push(`${name}: missing`);
      else if (!Object.entries(expected).every(([key, value]) => close(rollup[key], value))) {
        found.rollups.push(`${name}: ${JSON.stringify(rollup)} against ${JSON.stringify(expected)}`);
      }
    }
    for (const minute of stored.keys()) {
      if (!minutes.has(minute)) found.rollups.push(`${site}/${device} ${field} ${minute}: a window of nothing`);
    }
  }
}

function byDevice(list: readonly AcknowledgedReading[]): Map<string, AcknowledgedReading[]> {
  return Map.groupBy(list, ({ site, device }) => `${site}/${device}`);
}

function numericFields(readings: readonly AcknowledgedReading[]): Set<string> {
  const names = readings.flatMap(({ fields }) => Object.entries(fields));
  return new Set(names.filter(([, value]) => typeof value === 'number').map(([name]) => name));
}

function range(readings: readonly AcknowledgedReading[]): [number, number] {
  let from = Number.POSITIVE_INFINITY;
  let to = Number.NEGATIVE_INFINITY;
  for (const { timeMs } of readings) {
    from = Math.min(from, timeMs);
    to = Math.max(to, timeMs);
  }
  return [from, to + 1];
}

function floorMinute(timeMs: number): number {
  return Math.floor(timeMs / MINUTE_MS) * MINUTE_MS;
}

function sameFields(left: Fields, right: Fields): boolean {
  const names = Object.keys(left);
  return names.length === Object.keys(right).length && names.every((name) => left[name] === right[name]);
}

/** A sum may differ in its last bits with the order of its terms; nothing else may. */
function close(stored: unknown, expected: number): boolean {
  return typeof stored === 'number' && Math.abs(stored - expected) <= 1e-9 * Math.max(1, Math.abs(expected));
}
