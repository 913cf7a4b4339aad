/** All points of the rollup bucket, read with other means than those of the store port: it knows no windows of the user. */
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { InfluxDB } from '@influxdata/influxdb-client';
import type { Config } from '../../../core/config-schema.ts';
import type { Fields, FieldValue } from '../../../core/reading.ts';
import { emissionDifference } from './compare.ts';
import { type Emission, placeOf } from './emissions.ts';

type StoredPoint = Omit<Emission, 'values'>;

/** By place. */
export async function storedPoints(config: Config): Promise<ReadonlyMap<string, StoredPoint>> {
  const points = config.influx.url === undefined ? embeddedPoints(config) : await influxPoints(config);
  return new Map(points.map((point) => [placeOf(point), point]));
}

/** In words; empty when every point that must be stored is, and no other. */
export function storedDifferences(
  expected: ReadonlyMap<string, Emission>,
  stored: ReadonlyMap<string, StoredPoint>,
): string[] {
  const places = new Set([...expected.keys(), ...stored.keys()]);
  return [...places].flatMap((place) => emissionDifference(expected.get(place), stored.get(place)) ?? []);
}

function embeddedPoints({ dataDir }: Config): StoredPoint[] {
  const database = new DatabaseSync(join(dataDir, 'store.sqlite'), { readOnly: true });
  try {
    const rows = database
      .prepare(
        `SELECT measurement, tags, time_us, fields FROM points JOIN series ON series.id = series_id WHERE bucket = 'rollup'`,
      )
      .all() as { measurement: string; tags: string; time_us: number; fields: string }[];
    return rows.map(({ measurement, tags, time_us, fields }) => ({
      measurement,
      tags: JSON.parse(tags) as Record<string, string>,
      timeUs: time_us,
      fields: JSON.parse(fields) as Fields,
    }));
  } finally {
    database.close();
  }
}

async function influxPoints({ influx }: Config): Promise<StoredPoint[]> {
  const queries = new InfluxDB({ url: influx.url!, token: influx.token! }).getQueryApi(influx.org);
  const flux = `from(bucket: "${influx.rollupBucket}") |> range(start: 1970-01-01T00:00:00Z, stop: 2200-01-01T00:00:00Z)`;
  const points = new Map<string, StoredPoint & { fields: Record<string, FieldValue> }>();
  for await (const { values, tableMeta } of queries.iterateRows(flux)) {
    const {
      _time,
      _field,
      _value,
      _measurement: measurement,
      ...rest
    } = tableMeta.toObject(values) as Record<string, string>;
    const tags = Object.fromEntries(
      ['site', 'device', 'field', 'state'].flatMap((tag) => (tag in rest ? [[tag, rest[tag]!]] : [])),
    );
    const place = { measurement: measurement!, tags, timeUs: usOf(_time!) };
    const point = points.get(placeOf(place)) ?? { ...place, fields: {} };
    point.fields[_field!] = _value!;
    points.set(placeOf(place), point);
  }
  return [...points.values()];
}

/** RFC 3339 with up to nine decimals. */
function usOf(time: string): number {
  const decimals = /\.(\d+)Z$/.exec(time)?.[1] ?? '';
  return Date.parse(time.replace(/\.\d+Z$/, 'Z')) * 1000 + Number(decimals.padEnd(6, '0').slice(0, 6));
}
