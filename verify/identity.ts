/** What makes two readings of a device the same one: time, `seq` and fields, in whatever order the fields stand. */
import type { Fields } from '../core/reading.ts';

export function identityOf(timeUs: number, seq: number | null, fields: Fields): string {
  return `${timeUs} ${seq ?? '-'} ${fieldsText(fields)}`;
}

export function fieldsText(fields: Fields): string {
  const names = Object.keys(fields);
  if (names.length > 1) names.sort();
  return names.map((name) => `${JSON.stringify(name)}:${JSON.stringify(fields[name])}`).join(',');
}
