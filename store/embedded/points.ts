import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { FieldValue } from '../../core/reading.ts';
import type { Refusal } from '../port.ts';
import type { PointRow } from './calls.ts';
import { parseSeriesKey } from './series-key.ts';

type FieldType = 'number' | 'boolean' | 'string';

/** Field types hold for a measurement, not a series: as in InfluxDB. */
interface Measurement {
  readonly bucket: string;
  readonly name: string;
  readonly types: Map<string, FieldType>;
}

interface KnownSeries {
  readonly id: number;
  readonly measurement: Measurement;
  /** Readings of devices: their newest values are kept apart, for the live page. */
  readonly isTelemetry: boolean;
}

interface NewestValue {
  readonly seriesId: number;
  readonly field: string;
  readonly timeUs: number;
  readonly k: number;
  readonly value: FieldValue;
}

const maxRememberedSeries = 100_000;

/** Writes points into the tables. Every method but `forget` is called inside a transaction. */
export class PointTable {
  readonly #upsertPoint: StatementSync;
  readonly #upsertNewest: StatementSync;
  readonly #insertSeries: StatementSync;
  readonly #selectSeries: StatementSync;
  readonly #insertType: StatementSync;
  readonly #selectType: StatementSync;
  #series = new Map<string, KnownSeries>();
  #measurements = new Map<string, Measurement>();

  constructor(database: DatabaseSync) {
    // The union of the fields, the last write of each wins: as in InfluxDB. No value is null, which would delete a field.
    this.#upsertPoint = database.prepare(`
      INSERT INTO points (series_id, time_us, k, fields) VALUES (?, ?, ?, ?)
      ON CONFLICT DO UPDATE SET fields = json_patch(fields, excluded.fields) WHERE fields <> excluded.fields`);
    this.#upsertNewest = database.prepare(`
      INSERT INTO newest (series_id, field, time_us, k, value) VALUES (?, ?, ?, ?, ?)
      ON CONFLICT DO UPDATE SET time_us = excluded.time_us, k = excluded.k, value = excluded.value
      WHERE (excluded.time_us, excluded.k) >= (time_us, k)`);
    this.#insertSeries = database.prepare(
      'INSERT INTO series (key, bucket, measurement, tags) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING',
    );
    this.#selectSeries = database.prepare('SELECT id FROM series WHERE key = ?');
    this.#insertType = database.prepare(
      'INSERT INTO field_types (bucket, measurement, field, type) VALUES (?, ?, ?, ?)',
    );
    this.#selectType = database.prepare(
      'SELECT type FROM field_types WHERE bucket = ? AND measurement = ? AND field = ?',
    );
  }

  /** The refusals of each write. */
  write(writes: readonly (readonly PointRow[])[]): Refusal[][] {
    const newest = new Map<string, NewestValue>();
    const refusals = writes.map((rows) => this.#writeRows(rows, newest));
    for (const { seriesId, field, timeUs, k, value } of newest.values()) {
      this.#upsertNewest.run(seriesId, field, timeUs, k, JSON.stringify(value));
    }
    return refusals;
  }

  /** Drops what is remembered of the tables: a transaction was undone, or series were deleted. */
  forget(): void {
    this.#series.clear();
    this.#measurements.clear();
  }

  #writeRows(rows: readonly PointRow[], newest: Map<string, NewestValue>): Refusal[] {
    const refusals: Refusal[] = [];
    rows.forEach((row, index) => {
      const series = this.#seriesOf(row.key);
      const conflict = this.#typeConflict(series.measurement, row);
      if (conflict !== null) {
        refusals.push({ index, reason: 'type_conflict', message: conflict });
        return;
      }
      this.#upsertPoint.run(series.id, row.timeUs, row.k, JSON.stringify(row.fields));
      if (series.isTelemetry) noteNewest(newest, series.id, row);
    });
    return refusals;
  }

  #seriesOf(key: string): KnownSeries {
    let series = this.#series.get(key);
    if (series === undefined) {
      if (this.#series.size >= maxRememberedSeries) this.#series.clear();
      series = this.#findOrCreate(key);
      this.#series.set(key, series);
    }
    return series;
  }

  #findOrCreate(key: string): KnownSeries {
    const { bucket, measurement, tags } = parseSeriesKey(key);
    this.#insertSeries.run(key, bucket, measurement, JSON.stringify(tags));
    const id = Number(this.#selectSeries.get(key)?.id);
    const isTelemetry = bucket === 'raw' && measurement === 'telemetry';
    return { id, measurement: this.#measurement(bucket, measurement), isTelemetry };
  }

  #measurement(bucket: string, name: string): Measurement {
    const key = `${bucket}/${name}`;
    let measurement = this.#measurements.get(key);
    if (measurement === undefined) {
      measurement = { bucket, name, types: new Map() };
      this.#measurements.set(key, measurement);
    }
    return measurement;
  }

  /** What is wrong, or `null`; then the types of its new fields are fixed by this point. */
  #typeConflict(measurement: Measurement, { fields }: PointRow): string | null {
    const unseen: [string, FieldType][] = [];
    for (const name in fields) {
      const type = typeof fields[name] as FieldType;
      const known = this.#knownType(measurement, name);
      if (known === undefined) unseen.push([name, type]);
      else if (known !== type) {
        return `field type conflict: ${name} of ${measurement.name} is a ${type}, already exists as a ${known}`;
      }
    }
    for (const [name, type] of unseen) {
      this.#insertType.run(measurement.bucket, measurement.name, name, type);
      measurement.types.set(name, type);
    }
    return null;
  }

  #knownType(measurement: Measurement, field: string): FieldType | undefined {
    const remembered = measurement.types.get(field);
    if (remembered !== undefined) return remembered;
    const stored = this.#selectType.get(measurement.bucket, measurement.name, field)?.type as FieldType | undefined;
    if (stored !== undefined) measurement.types.set(field, stored);
    return stored;
  }
}

/** One row per series and field leaves a transaction, however many points it has. */
function noteNewest(newest: Map<string, NewestValue>, seriesId: number, { fields, timeUs, k }: PointRow): void {
  for (const field in fields) {
    const key = `${seriesId}/${field}`;
    const known = newest.get(key);
    if (known !== undefined && (known.timeUs > timeUs || (known.timeUs === timeUs && known.k > k))) continue;
    newest.set(key, { seriesId, field, timeUs, k, value: fields[field]! });
  }
}
