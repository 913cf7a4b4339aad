/**
 * Which points can be stored at all. The limits are InfluxDB's; the embedded store has the same, so that moving from one
 * to the other changes nothing.
 */
import type { FieldValue } from '../core/reading.ts';
import type { Point, RefusalReason, Series } from './port.ts';

export interface Fault {
  readonly reason: RefusalReason;
  readonly message: string;
}

const maxStringBytes = 1_048_576;
/** InfluxDB takes 65,535 bytes for the series with a field's name; this leaves 1,024 of them to the name. */
const maxSeriesBytes = 64_511;
const maxNameBytes = 1000;
const reservedTags = new Set(['time', '_field', '_measurement']);
/** InfluxDB strips a field of this name from the point and then says that it dropped nothing. */
const reservedField = 'time';
/**
 * What line protocol cannot express, however it is escaped (found by writing and reading back every text of up to four
 * special characters): control characters, and a backslash at the end or before a character that one would escape.
 */
const inexpressible = /\p{Cc}|\\(?:[ ,="]|$)/u;
const maxRememberedNames = 10_000;

/** Remembers what it has found valid: series by identity, field names by text. */
export class PointValidator {
  readonly #series = new WeakMap<Series, Fault | 'valid'>();
  readonly #validNames = new Set<string>();

  /** Why the point can never be stored, `null` when it can. */
  fault(point: Point): Fault | null {
    let series = this.#series.get(point.series);
    if (series === undefined) {
      series = seriesFault(point.series) ?? 'valid';
      this.#series.set(point.series, series);
    }
    if (series !== 'valid') return series;
    if (!Number.isSafeInteger(point.timeUs)) return invalid(`time ${point.timeUs} µs is not a safe integer`);
    if (!(Number.isInteger(point.k) && point.k >= 0 && point.k <= 999)) return invalid(`k ${point.k} is not in 0..999`);
    return this.#fieldsFault(point);
  }

  #fieldsFault({ fields }: Point): Fault | null {
    let empty = true;
    for (const name in fields) {
      empty = false;
      const fault = this.#nameFault(name) ?? valueFault(name, fields[name]!);
      if (fault !== null) return fault;
    }
    return empty ? invalid('a point needs at least one field') : null;
  }

  #nameFault(name: string): Fault | null {
    if (this.#validNames.has(name)) return null;
    const fault = name === reservedField ? invalid('a field cannot be named "time"') : textFault('field name', name);
    if (fault !== null) return fault;
    if (Buffer.byteLength(name) > maxNameBytes) return tooLarge(`a field name has more than ${maxNameBytes} bytes`);
    if (this.#validNames.size >= maxRememberedNames) this.#validNames.clear();
    this.#validNames.add(name);
    return null;
  }
}

function seriesFault({ measurement, tags }: Series): Fault | null {
  let bytes = Buffer.byteLength(measurement);
  const faults = [textFault('measurement', measurement)];
  // A line that starts with # is a comment: the server would answer 204 and store nothing.
  if (measurement.startsWith('#')) faults.push(invalid('a measurement cannot start with #'));
  for (const [name, value] of Object.entries(tags)) {
    bytes += Buffer.byteLength(name) + Buffer.byteLength(value) + 2;
    if (reservedTags.has(name)) faults.push(invalid(`a tag cannot be named ${JSON.stringify(name)}`));
    faults.push(textFault('tag name', name), textFault(`tag ${name}`, value));
  }
  const first = faults.find((fault) => fault !== null);
  if (first !== undefined) return first;
  return bytes > maxSeriesBytes ? tooLarge(`the tags have ${bytes} bytes, more than ${maxSeriesBytes}`) : null;
}

function textFault(what: string, text: string): Fault | null {
  if (text === '') return invalid(`${what} is empty`);
  if (inexpressible.test(text) || !text.isWellFormed()) {
    return invalid(`${what} ${JSON.stringify(text.slice(0, 100))} cannot be expressed in line protocol`);
  }
  return null;
}

function valueFault(name: string, value: FieldValue): Fault | null {
  if (typeof value === 'number') return Number.isFinite(value) ? null : invalid(`field ${name} is ${value}`);
  // A UTF-16 unit takes at most 3 bytes in UTF-8: most strings need no count.
  if (typeof value === 'string' && value.length * 3 > maxStringBytes && Buffer.byteLength(value) > maxStringBytes) {
    return tooLarge(`field ${name} has more than ${maxStringBytes} bytes`);
  }
  return null;
}

const invalid = (message: string): Fault => ({ reason: 'invalid_point', message });
const tooLarge = (message: string): Fault => ({ reason: 'too_large', message });
