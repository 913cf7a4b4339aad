/**
 * The default payload: `{"ts": <ms>, "seq": <n>, "temperature": 21.5, "motor": {"rpm": 900}}`. `ts` and `seq` are
 * optional; nested objects become `motor.rpm`; `null` is no value.
 */
import { isUtf8 } from 'node:buffer';
import type { FieldValue, Reading } from '../../core/reading.ts';
import type { Route } from '../../core/route.ts';
import { Undecodable } from './undecodable.ts';

export const maxFields = 256;
export const maxFieldNameLength = 200;
const maxDepth = 8;
/** Beyond it microseconds are no exact integers any more (year 2255); milliseconds taken for nanoseconds end here too. */
const maxTimestampMs = Number.MAX_SAFE_INTEGER / 1000;

type Collected = Record<string, FieldValue>;

export function decodeJson(payload: Buffer, route: Route, receivedAtMs: number): readonly Reading[] | Undecodable {
  const text = payload.toString('utf8');
  // Decoding puts U+FFFD for bytes that are not UTF-8; the character itself may also be meant.
  if (text.includes('\ufffd') && !isUtf8(payload)) {
    return new Undecodable('not_utf8', 'the payload is not valid UTF-8');
  }
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (error) {
    return new Undecodable('not_json', (error as SyntaxError).message);
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) {
    return new Undecodable('not_an_object', 'expected an object such as {"temperature": 21.5}');
  }
  return readingOf(parsed as Record<string, unknown>, route, receivedAtMs);
}

function readingOf(
  payload: Record<string, unknown>,
  route: Route,
  receivedAtMs: number,
): readonly Reading[] | Undecodable {
  const { ts, seq } = payload;
  if (ts !== undefined && ts !== null && !isTimestamp(ts)) {
    return new Undecodable('bad_timestamp', `ts: expected milliseconds since the epoch, got ${shown(ts)}`);
  }
  if (seq !== undefined && seq !== null && !(Number.isSafeInteger(seq) && (seq as number) >= 0)) {
    return new Undecodable('bad_seq', `seq: expected a whole number of at least 0, got ${shown(seq)}`);
  }
  const fields: Collected = {};
  const problem = collect(payload, fields);
  if (problem !== null) return problem;
  const timed = typeof ts === 'number';
  return [
    {
      site: route.site,
      device: route.device,
      timeUs: timed ? Math.round(ts * 1000) : receivedAtMs * 1000,
      seq: typeof seq === 'number' ? seq : null,
      fields,
      receivedAtMs,
      clock: timed ? 'device' : 'gateway',
    },
  ];
}

function collect(payload: Record<string, unknown>, fields: Collected): Undecodable | null {
  let count = 0;
  let nested = false;
  for (const name in payload) {
    if (name === 'ts' || name === 'seq') continue;
    const value = payload[name];
    if (typeof value === 'object' && value !== null) {
      nested = true;
      break;
    }
    if (value === null) continue;
    const problem = add(fields, name, value as FieldValue);
    if (problem !== null) return problem;
    count++;
  }
  if (nested) return collectNested(payload, fields);
  return bounded(count);
}

/** The slow way, taken when a value is an object: names get a path, and two paths may meet. */
function collectNested(payload: Record<string, unknown>, fields: Collected): Undecodable | null {
  const seen = new Set<string>();
  const walk = (object: Record<string, unknown>, prefix: string, depth: number): Undecodable | null => {
    for (const [key, value] of Object.entries(object)) {
      if (value === null || (depth === 1 && (key === 'ts' || key === 'seq'))) continue;
      const name = prefix + key;
      if (typeof value === 'object') {
        if (Array.isArray(value)) return new Undecodable('unsupported_value', `${shown(name)} is an array`);
        if (depth === maxDepth) {
          return new Undecodable('unsupported_value', `${shown(name)} is nested deeper than ${maxDepth} objects`);
        }
        const problem = walk(value as Record<string, unknown>, `${name}.`, depth + 1);
        if (problem !== null) return problem;
        continue;
      }
      if (seen.has(name)) return new Undecodable('bad_field_name', `the payload gives ${shown(name)} twice`);
      seen.add(name);
      const problem = add(fields, name, value as FieldValue);
      if (problem !== null) return problem;
    }
    return null;
  };
  return walk(payload, '', 1) ?? bounded(seen.size);
}

function add(fields: Collected, name: string, value: FieldValue): Undecodable | null {
  if (!isFieldName(name)) {
    return new Undecodable(
      'bad_field_name',
      `${shown(name)}: expected 1 to ${maxFieldNameLength} printable characters`,
    );
  }
  // JSON has no Infinity, but 1e999 is one.
  if (typeof value === 'number' && !Number.isFinite(value)) {
    return new Undecodable('unsupported_value', `${shown(name)} is not a finite number`);
  }
  fields[name] = value;
  return null;
}

function bounded(count: number): Undecodable | null {
  if (count === 0) return new Undecodable('no_fields', 'the payload holds no value beside ts and seq');
  if (count > maxFields) return new Undecodable('too_many_fields', `${count} fields, at most ${maxFields} are taken`);
  return null;
}

function isFieldName(name: string): boolean {
  if (name.length === 0 || name.length > maxFieldNameLength || name === '__proto__') return false;
  for (let i = 0; i < name.length; i++) {
    const code = name.charCodeAt(i);
    if (code < 0x20 || code === 0x7f) return false;
  }
  return true;
}

function isTimestamp(value: unknown): value is number {
  return typeof value === 'number' && value >= 0 && value <= maxTimestampMs;
}

/** A value in an error message, cut to a readable length. */
function shown(value: unknown): string {
  const text = JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}
