/**
 * Points as InfluxDB line protocol. Only for points that `PointValidator` has passed: what line protocol cannot express
 * is refused there, and nothing here can corrupt a line.
 */
import type { FieldValue } from '../core/reading.ts';
import type { Point, Series } from './port.ts';

const maxRememberedNames = 10_000;
const firstBytes = 64 * 1024;
/** UTF-8 needs at most three bytes for a UTF-16 unit. */
const maxBytesPerUnit = 3;
const [comma, space, newline, zero] = [0x2c, 0x20, 0x0a, 0x30];

/**
 * Writes lines into one buffer, digit by digit: as strings that are put together, a batch would leave more garbage than
 * all else that becomes of it. Remembers the bytes of each series (by identity) and field name: that is most of a line.
 */
export class LineEncoder {
  readonly #prefixes = new WeakMap<Series, Uint8Array>();
  readonly #names = new Map<string, Uint8Array>();
  #buffer = Buffer.allocUnsafe(firstBytes);
  #length = 0;

  /** One line per point, a newline between two. Time in nanoseconds. */
  encode(points: readonly Point[]): string {
    this.#length = 0;
    for (const point of points) {
      if (this.#length > 0) this.#byte(newline);
      this.#point(point);
    }
    return this.#buffer.toString('utf8', 0, this.#length);
  }

  #point({ series, fields, timeUs, k }: Point): void {
    this.#bytes(this.#prefix(series));
    let isFirst = true;
    for (const name in fields) {
      if (!isFirst) this.#byte(comma);
      isFirst = false;
      this.#bytes(this.#name(name));
      this.#text(valueText(fields[name]!));
    }
    this.#byte(space);
    this.#nanoseconds(timeUs, k);
  }

  #prefix(series: Series): Uint8Array {
    let bytes = this.#prefixes.get(series);
    if (bytes === undefined) {
      bytes = Buffer.from(seriesPrefix(series));
      this.#prefixes.set(series, bytes);
    }
    return bytes;
  }

  #name(name: string): Uint8Array {
    let bytes = this.#names.get(name);
    if (bytes === undefined) {
      bytes = Buffer.from(`${escapeName(name)}=`);
      if (this.#names.size >= maxRememberedNames) this.#names.clear();
      this.#names.set(name, bytes);
    }
    return bytes;
  }

  /** What is after 1970 and fits: in two halves that are small integers, and three digits of `k`. */
  #nanoseconds(timeUs: number, k: number): void {
    if (timeUs < 1e15 || timeUs >= 1e16) {
      this.#text(nanosecondText(timeUs, k));
      return;
    }
    const high = Math.floor(timeUs / 1e8);
    this.#reserve(19);
    this.#digits(high, 8);
    this.#digits(timeUs - high * 1e8, 8);
    this.#digits(k, 3);
  }

  #digits(value: number, count: number): void {
    const buffer = this.#buffer;
    let rest = value;
    for (let at = this.#length + count - 1; at >= this.#length; at--) {
      const tenth = Math.trunc(rest / 10);
      buffer[at] = zero + (rest - tenth * 10);
      rest = tenth;
    }
    this.#length += count;
  }

  #text(text: string): void {
    const { length } = text;
    this.#reserve(length * maxBytesPerUnit);
    const buffer = this.#buffer;
    const start = this.#length;
    for (let i = 0; i < length; i++) {
      const unit = text.charCodeAt(i);
      if (unit > 0x7f) {
        this.#length = start + buffer.write(text, start);
        return;
      }
      buffer[start + i] = unit;
    }
    this.#length = start + length;
  }

  #bytes(bytes: Uint8Array): void {
    const { length } = bytes;
    this.#reserve(length);
    const buffer = this.#buffer;
    const start = this.#length;
    for (let i = 0; i < length; i++) buffer[start + i] = bytes[i]!;
    this.#length = start + length;
  }

  #byte(byte: number): void {
    this.#reserve(1);
    this.#buffer[this.#length++] = byte;
  }

  #reserve(bytes: number): void {
    if (this.#length + bytes <= this.#buffer.length) return;
    const grown = Buffer.allocUnsafe(Math.max(this.#buffer.length * 2, this.#length + bytes));
    this.#buffer.copy(grown, 0, 0, this.#length);
    this.#buffer = grown;
  }
}

/** `timeUs * 1000 + k` in decimal: as a number it would be beyond 2^53. */
export function nanosecondText(timeUs: number, k: number): string {
  if (timeUs >= 0) return timeUs === 0 ? `${k}` : `${timeUs}${threeDigits(k)}`;
  if (k === 0) return `${timeUs}000`;
  const towardsZeroUs = timeUs + 1;
  return towardsZeroUs === 0 ? `-${1000 - k}` : `${towardsZeroUs}${threeDigits(1000 - k)}`;
}

/** Tags sorted by name, as the server keeps them. */
function seriesPrefix({ measurement, tags }: Series): string {
  const sorted = Object.keys(tags).sort();
  const pairs = sorted.map((name) => `,${escapeName(name)}=${escapeName(tags[name]!)}`);
  return `${measurement.replace(/[ ,]/g, '\\$&')}${pairs.join('')} `;
}

/** Of tags, their values and fields. */
function escapeName(text: string): string {
  return text.replace(/[ ,=]/g, '\\$&');
}

function valueText(value: FieldValue): string {
  if (typeof value === 'string') return `"${value.replace(/["\\]/g, '\\$&')}"`;
  // A bare number is a float, however whole it looks.
  return `${value}`;
}

function threeDigits(k: number): string {
  if (k === 0) return '000';
  return k < 10 ? `00${k}` : k < 100 ? `0${k}` : `${k}`;
}
