/**
 * Points as InfluxDB line protocol. Only for points that `PointValidator` has passed: what line protocol cannot express
 * is refused there, and nothing here can corrupt a line.
 */
import type { FieldValue } from '../core/reading.ts';
import type { Point, Series } from './port.ts';

const maxRememberedNames = 10_000;

/** Remembers the escaped text of each series (by identity) and field name: that is most of a line. */
export class LineEncoder {
  readonly #prefixes = new WeakMap<Series, string>();
  readonly #names = new Map<string, string>();

  /** One line, without its newline. Time in nanoseconds. */
  encode({ series, fields, timeUs, k }: Point): string {
    let line = this.#prefixes.get(series);
    if (line === undefined) {
      line = seriesPrefix(series);
      this.#prefixes.set(series, line);
    }
    let separator = '';
    for (const name in fields) {
      line += separator + this.#name(name) + valueText(fields[name]!);
      separator = ',';
    }
    return `${line} ${nanosecondText(timeUs, k)}`;
  }

  #name(name: string): string {
    let text = this.#names.get(name);
    if (text === undefined) {
      text = `${escapeName(name)}=`;
      if (this.#names.size >= maxRememberedNames) this.#names.clear();
      this.#names.set(name, text);
    }
    return text;
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
