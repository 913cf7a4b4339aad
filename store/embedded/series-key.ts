import type { Bucket, Series } from '../port.ts';

/** A series as text: equal for equal series, whatever the order of their tags. */
export function seriesKey({ bucket, measurement, tags }: Series): string {
  const sorted = Object.entries(tags).sort(([a], [b]) => (a < b ? -1 : 1));
  return JSON.stringify([bucket, measurement, Object.fromEntries(sorted)]);
}

export function parseSeriesKey(key: string): { bucket: Bucket; measurement: string; tags: Record<string, string> } {
  const [bucket, measurement, tags] = JSON.parse(key) as [Bucket, string, Record<string, string>];
  return { bucket, measurement, tags };
}

/**
 * The keys of all series of a measurement that have `device` as the first of their sorted tags: from the first on, and
 * before the second.
 */
export function keysOfDevice(bucket: Bucket, measurement: string, device: string): [from: string, before: string] {
  const start = `[${JSON.stringify(bucket)},${JSON.stringify(measurement)},{"device":${JSON.stringify(device)}`;
  // The tag that follows comes after a comma, and `-` is the next character.
  return [`${start},`, `${start}-`];
}
