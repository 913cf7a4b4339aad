/** What a line of a recording says: which device, when, what. */
import type { FieldValue } from '../../core/reading.ts';
import { BadLine, type RecordLine } from './records.ts';

export interface Mapping {
  /** The column that names the device. */
  readonly device: string;
  /** The column that names the site, if the recording has it, and the site of all that have none. */
  readonly site: string;
  readonly defaultSite: string;
  readonly time: string;
  /** Of times that are numbers, in milliseconds. */
  readonly timeUnitMs: number;
  /** Column → field; `null`: every other column is a field of that name. */
  readonly fields: ReadonlyMap<string, string> | null;
}

export interface Row {
  readonly site: string;
  readonly device: string;
  /** As it was recorded. */
  readonly timeMs: number;
  readonly fields: Readonly<Record<string, FieldValue>>;
}

export function rowOf({ record }: RecordLine, mapping: Mapping): Row | BadLine {
  if (record instanceof BadLine) return record;
  const device = nameOf(record, mapping.device);
  if (device instanceof BadLine) return device;
  const site = isMissing(record[mapping.site]) ? mapping.defaultSite : nameOf(record, mapping.site);
  if (site instanceof BadLine) return site;
  const timeMs = timeOf(record[mapping.time], mapping.timeUnitMs);
  if (timeMs === null) {
    return new BadLine(`${mapping.time}: expected a time, got ${JSON.stringify(record[mapping.time] ?? null)}`);
  }
  const fields: Record<string, FieldValue> = {};
  for (const [column, field] of columnsOf(record, mapping)) {
    const value = record[column];
    if (isMissing(value)) continue;
    if (typeof value === 'object') return new BadLine(`${column}: expected a number, a boolean or a text`);
    fields[field] = typeof value === 'string' ? valueOfText(value) : (value as FieldValue);
  }
  if (Object.keys(fields).length === 0) return new BadLine('no field has a value');
  return { site, device, timeMs, fields };
}

/** An empty cell is no value. */
function isMissing(value: unknown): boolean {
  return value === undefined || value === null || value === '';
}

/** A level of an MQTT topic. */
function nameOf(record: Readonly<Record<string, unknown>>, column: string): string | BadLine {
  const value = record[column];
  if (isMissing(value) || typeof value === 'object') return new BadLine(`${column}: expected a name`);
  const name = String(value);
  return /[/+#\0]/.test(name) ? new BadLine(`${column}: ${JSON.stringify(name)} holds / + or #`) : name;
}

function timeOf(value: unknown, unitMs: number): number | null {
  if (isMissing(value) || typeof value === 'object') return null;
  const number = Number(value);
  const timeMs = Number.isFinite(number) ? number * unitMs : Date.parse(String(value));
  return Number.isFinite(timeMs) && timeMs >= 0 ? timeMs : null;
}

function columnsOf(record: Readonly<Record<string, unknown>>, mapping: Mapping): Iterable<readonly [string, string]> {
  if (mapping.fields !== null) return mapping.fields;
  const others = new Set([mapping.device, mapping.site, mapping.time, 'ts', 'seq']);
  return Object.keys(record)
    .filter((column) => !others.has(column))
    .map((column) => [column, column]);
}

/** CSV knows texts alone. */
function valueOfText(text: string): FieldValue {
  if (text === 'true' || text === 'false') return text === 'true';
  return /^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i.test(text) ? Number(text) : text;
}
