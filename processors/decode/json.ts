/** The default payload: `{"ts": <ms>, "seq": <n>, <field>: <value>, …}`, nested objects flattened with dots. */
import type { FieldValue } from '../../core/reading.ts';
import type { DeadLetterReason } from '../../core/reasons.ts';

/** What one message says, before it is known whose it is. */
export interface Decoded {
  /** Event time in microseconds, `null` when the payload has no `ts`. */
  readonly timeUs: number | null;
  readonly seq: number | null;
  readonly fields: Record<string, FieldValue>;
}

export class DecodeError extends Error {
  readonly reason: DeadLetterReason;

  constructor(reason: DeadLetterReason, message: string) {
    super(message);
    this.name = 'DecodeError';
    this.reason = reason;
  }
}

const maxFields = 256;
const maxDepth = 8;
const maxNameLength = 128;
/** Beyond this no `Date` exists (ECMA-262 §21.4.1.1). */
const maxTimeMs = 8.64e15;

/** Throws a DecodeError with the reason why the payload cannot become a reading. */
export function decodeJson(payload: Buffer): Decoded {
  const parsed = parseObject(payload);
  const fields: Record<string, FieldValue> = {};
  let timeUs: number | null = null;
  let seq: number | null = null;
  let count = 0;
  for (const name in parsed) {
    const value = parsed[name];
    if (name === 'ts') timeUs = parseTime(value);
    else if (name === 'seq') seq = parseSeq(value);
    else if (typeof value === 'number' && Number.isFinite(value)) {
      checkName(name);
      fields[name] = value;
      count++;
    } else count += addFields(fields, name, value, 1);
    if (count > maxFields) throw new DecodeError('too_many_fields', `more than ${maxFields} fields`);
  }
  if (count === 0) throw new DecodeError('no_fields', 'no number, boolean or text beside ts and seq');
  return { timeUs, seq, fields };
}

function parseObject(payload: Buffer): Record<string, unknown> {
  if (payload.length === 0) throw new DecodeError('empty_payload', 'the payload has no bytes');
  const text = payload.toString('utf8');
  // toString never fails: it puts U+FFFD where the bytes are no UTF-8, which may also stand there by itself.
  if (text.includes('\ufffd') && !Buffer.from(text).equals(payload)) {
    throw new DecodeError('not_utf8', 'the bytes are no UTF-8');
  }
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (error) {
    throw new DecodeError('not_json', error instanceof Error ? error.message : String(error));
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) {
    throw new DecodeError('not_an_object', `a JSON ${Array.isArray(parsed) ? 'array' : typeof parsed}, not an object`);
  }
  return parsed as Record<string, unknown>;
}

function parseTime(value: unknown): number | null {
  if (value === null) return null;
  if (typeof value !== 'number' || !(Math.abs(value) <= maxTimeMs)) {
    throw new DecodeError('bad_timestamp', `ts is ${JSON.stringify(value)}, not milliseconds since the epoch`);
  }
  return Math.round(value * 1000);
}

function parseSeq(value: unknown): number | null {
  if (value === null) return null;
  if (!Number.isSafeInteger(value) || (value as number) < 0) {
    throw new DecodeError('bad_seq', `seq is ${JSON.stringify(value)}, not a whole number of at least 0`);
  }
  return value as number;
}

/** Adds a value under its name, or the values of a nested object under `name.key`; returns how many. */
function addFields(fields: Record<string, FieldValue>, name: string, value: unknown, depth: number): number {
  if (value === null) return 0;
  switch (typeof value) {
    case 'number':
      if (!Number.isFinite(value)) throw new DecodeError('unsupported_value', `${name} is not a finite number`);
      break;
    case 'object':
      return addNested(fields, name, value, depth);
  }
  checkName(name);
  fields[name] = value as FieldValue;
  return 1;
}

function addNested(fields: Record<string, FieldValue>, name: string, value: object, depth: number): number {
  if (Array.isArray(value)) throw new DecodeError('unsupported_value', `${name} is an array`);
  if (depth > maxDepth) throw new DecodeError('unsupported_value', `${name} is nested deeper than ${maxDepth}`);
  let count = 0;
  for (const [key, inner] of Object.entries(value)) {
    count += addFields(fields, `${name}.${key}`, inner, depth + 1);
    if (count > maxFields) throw new DecodeError('too_many_fields', `more than ${maxFields} fields`);
  }
  return count;
}

/** Names seen good: the names of a fleet are few, and checking each again for each message would cost more than all else. */
const goodNames = new Set<string>();

function checkName(name: string): void {
  if (goodNames.has(name)) return;
  if (name === '' || name.length > maxNameLength || name === '__proto__' || hasControl(name)) {
    throw new DecodeError('bad_field_name', `${JSON.stringify(name.slice(0, maxNameLength))} cannot name a field`);
  }
  if (goodNames.size < 10_000) goodNames.add(name);
}

function hasControl(name: string): boolean {
  for (let i = 0; i < name.length; i++) {
    const code = name.charCodeAt(i);
    if (code < 0x20 || code === 0x7f) return true;
  }
  return false;
}
