/** InfluxQL as text, and its JSON answers as rows: the query language that InfluxDB 1, 2 and 3 have in common. */
import type { Fields, FieldValue } from '../../core/reading.ts';
import { boundUs } from '../time.ts';

export interface ResultSeries {
  readonly tags: Readonly<Record<string, string>>;
  readonly columns: readonly string[];
  readonly rows: readonly (readonly (FieldValue | null)[])[];
}

export function identifier(name: string): string {
  return `"${name.replace(/["\\]/g, '\\$&').replaceAll('\n', '\\n')}"`;
}

/** Cast to a tag: without it one device with a field named `site` would empty every query of all devices. */
export function tagEquals(name: string, value: string): string {
  return `${identifier(name)}::tag = '${value.replace(/['\\]/g, '\\$&').replaceAll('\n', '\\n')}'`;
}

/** Milliseconds as a time literal. */
export function timeLiteral(ms: number): string {
  return `${boundUs(ms)}u`;
}

/** The series of each statement of a query. Throws what the server says is wrong with one. */
export function parseAnswer(answer: unknown): ResultSeries[][] {
  const { results, error } = answer as {
    results?: {
      error?: string;
      series?: { tags?: Record<string, string>; columns: string[]; values?: FieldValue[][] }[];
    }[];
    error?: string;
  };
  if (results === undefined) throw new Error(error ?? 'the answer is not that of an InfluxQL query');
  return results.map((result) => {
    if (result.error !== undefined) throw new Error(result.error);
    return (result.series ?? []).map(({ tags = {}, columns, values = [] }) => ({ tags, columns, rows: values }));
  });
}

/** The fields of a row, by column name without `prefix`; null means that the point has no such field. */
export function fieldsOf(columns: readonly string[], row: readonly (FieldValue | null)[], prefix = ''): Fields {
  return Object.fromEntries(
    columns.flatMap((column, at) => {
      const value = row[at];
      return at === 0 || value === null || value === undefined ? [] : [[column.slice(prefix.length), value]];
    }),
  );
}

/** RFC 3339 with up to nine decimals, as the server writes it, to microseconds and the nanoseconds beyond. */
export function parseTime(text: string): { timeUs: number; k: number } {
  const [, second, decimals = ''] = /^(.{19,20}?)(?:\.(\d+))?Z$/.exec(text) ?? [];
  if (second === undefined) throw new Error(`not a time: ${text}`);
  const nanos = Number(decimals.padEnd(9, '0'));
  return { timeUs: Date.parse(`${second}Z`) * 1000 + Math.floor(nanos / 1000), k: nanos % 1000 };
}
