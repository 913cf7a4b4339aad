/**
 * The stages of the pipeline over the records of one device, with a note of all that has to do with one of its windows.
 * What others send counts for no more than the time at which it came: the partition clock, which decides on silence.
 */
import type { BusRecord } from '../../bus/port.ts';
import type { Fields, Reading } from '../../core/reading.ts';
import { headers } from '../../core/topics.ts';
import type { Point } from '../../store/port.ts';
import type { ProcessingOptions } from '../options.ts';
import { Topology } from '../topology.ts';
import type { Measurement } from '../window/measurements.ts';

export interface Target {
  /** `site/device`, the key of its records. */
  readonly key: string;
  readonly field: string;
  readonly measurement: Measurement;
  /** Of the window; the end exclusive. */
  readonly startUs: number;
  readonly endUs: number;
}

/** A reading in the raw topic. */
export interface Place {
  readonly offset: number;
  /** Which reading of the message, from 0. */
  readonly index: number;
  /** Empty when the record has none. */
  readonly ingestId: string;
  readonly timeUs: number;
}

/** Those that count. */
export interface Readings {
  count: number;
  /** Of them: in what was written last. */
  written: number;
  first: Place | null;
  last: Place | null;
}

export interface LatePlace extends Place {
  /** How long after the last moment at which its minute could be corrected, ms. */
  readonly lateByMs: number;
}

/** As many of a kind are listed; all are counted. */
export const maxListed = 100;

export interface Listed<T> {
  count: number;
  readonly first: T[];
}

/**
 * Why a point was written: the device's newer readings moved its watermark over the end; the device was silent; a reading
 * came when the window was final already; or the device was forgotten.
 */
export type Cause = 'watermark' | 'silence' | 'correction' | 'forgotten';

export interface Emission {
  readonly cause: Cause;
  /** Of the record at which it was written, and when that came. */
  readonly offset: number;
  readonly receivedAtMs: number;
  /** Of the reading that corrected the window; `null` for other causes. */
  readonly readingTimeUs: number | null;
  /** Of `state_1m`, which state. */
  readonly state: string | null;
  readonly fields: Fields;
}

export class Recorder {
  readonly #target: Target;
  readonly #topology: Topology;
  readonly readings: Readings = { count: 0, written: 0, first: null, last: null };
  readonly duplicates: Listed<Place> = { count: 0, first: [] };
  readonly late: Listed<LatePlace> = { count: 0, first: [] };
  readonly emissions: Listed<Emission> = { count: 0, first: [] };
  /** What was written last, by state: one entry but for `state_1m`. */
  readonly newest = new Map<string | null, Emission>();
  /** Messages and readings of the device in the dead-letter topic: of what time they would be is not known. */
  deadLettered = 0;

  constructor(target: Target, options: ProcessingOptions) {
    this.#target = target;
    this.#topology = new Topology(options, [], 0);
    this.#topology.outputs.duplicates = [];
  }

  /** Nothing that comes after it can change the window. */
  get isSettled(): boolean {
    const device = this.#topology.devices.get(this.#target.key);
    return device !== undefined && device.settledUs >= this.#target.endUs;
  }

  take(record: BusRecord): void {
    const { outputs } = this.#topology;
    const isOwn = record.key === this.#target.key;
    const isOver = this.#isOver();
    const countBefore = this.readings.count;
    this.#topology.process(isOwn ? record : { ...record, key: '', value: null, headers: { [headers.tick]: '1' } });
    for (const { reading, late, index } of outputs.raw) {
      if (late || !this.#isMeant(reading)) continue;
      const place = placeOf(record, index, reading);
      this.readings.count++;
      this.readings.first ??= place;
      this.readings.last = place;
    }
    for (const reading of outputs.duplicates!) {
      if (this.#isMeant(reading)) list(this.duplicates, placeOf(record, 0, reading));
    }
    for (const { reading, index, lateByMs } of outputs.late) {
      if (this.#isMeant(reading)) list(this.late, { ...placeOf(record, index, reading), lateByMs });
    }
    const correction = isOver ? (outputs.raw.findLast(({ late }) => !late)?.reading ?? null) : null;
    for (const point of outputs.rollups) {
      if (!this.#isOfWindow(point)) continue;
      this.#written(point, record, isOwn, correction);
      // Silence is looked for before what the record says.
      this.readings.written = point.fields.final === true ? this.readings.count : countBefore;
    }
    this.deadLettered += outputs.deadLetters.length;
    outputs.clear();
  }

  /** `correction`: the reading that came when the window was over. */
  #written({ series, fields }: Point, record: BusRecord, isOwn: boolean, correction: Reading | null): void {
    const cause = fields.final !== true ? 'silence' : !isOwn ? 'forgotten' : correction ? 'correction' : 'watermark';
    const emission = {
      cause,
      offset: record.offset,
      receivedAtMs: record.timestampMs,
      readingTimeUs: cause === 'correction' ? correction!.timeUs : null,
      state: series.tags.state ?? null,
      fields,
    } as const;
    list(this.emissions, emission);
    this.newest.set(emission.state, emission);
  }

  /** The watermark has passed the end of the window. */
  #isOver(): boolean {
    const device = this.#topology.devices.get(this.#target.key);
    return device !== undefined && device.watermarkUs >= this.#target.endUs;
  }

  #isMeant({ timeUs, fields }: Reading): boolean {
    const { field, measurement, startUs, endUs } = this.#target;
    const value = fields[field];
    return value !== undefined && timeUs >= startUs && timeUs < endUs && measurement.isFor(field, value);
  }

  #isOfWindow({ series, timeUs }: Point): boolean {
    const { measurement, field, startUs } = this.#target;
    return series.measurement === measurement.name && series.tags.field === field && timeUs === startUs;
  }
}

export function list<T>(listed: Listed<T>, item: T): void {
  listed.count++;
  if (listed.first.length < maxListed) listed.first.push(item);
}

function placeOf({ offset, headers: own }: BusRecord, index: number, { timeUs }: Reading): Place {
  return { offset, index, ingestId: own[headers.ingestId] ?? '', timeUs };
}
