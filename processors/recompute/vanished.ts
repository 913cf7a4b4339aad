/** Stored points of windows that readings, now that all are there, do not make any more. */
import type { Point, StoredWindow } from '../../store/port.ts';
import { successorOf } from './rewriter.ts';
import { lastUsOf } from './scope.ts';

/** Sessions that begin within another one: they are retracted, as when a reading that is not late joins two. */
export function joinedSessions(sessions: readonly Point[], stored: readonly StoredWindow[]): Point[] {
  const byField = Map.groupBy(sessions, ({ series }) => series.tags.field);
  for (const ofField of byField.values()) ofField.sort((a, b) => a.timeUs - b.timeUs);
  return stored.flatMap(({ tags, timeUs, fields }) => {
    const session = lastBefore(byField.get(tags.field) ?? [], timeUs);
    if (session === undefined || timeUs > lastUsOf(session) || fields.retracted !== false) return [];
    const { series } = session;
    return [successorOf({ series, fields: { ...fields, retracted: true }, timeUs, k: 0 }, fields)];
  });
}

/** States of a minute that were not there after all: they lasted for 0 ms. */
export function absentStates(states: readonly Point[], stored: readonly StoredWindow[]): Point[] {
  const minutes = new Map<string, Set<string>>();
  for (const { series, timeUs } of states) {
    const minute = `${timeUs} ${series.tags.field}`;
    const known = minutes.get(minute) ?? new Set();
    minutes.set(minute, known.add(series.tags.state!));
  }
  return stored
    .filter(({ timeUs, tags }) => minutes.get(`${timeUs} ${tags.field}`)?.has(tags.state!) === false)
    .filter(({ fields }) => fields.durationMs !== 0 || fields.entries !== 0)
    .map(({ tags, timeUs, fields }) => {
      const series = { ...states[0]!.series, tags };
      return successorOf({ series, fields: { durationMs: 0, entries: 0, final: true }, timeUs, k: 0 }, fields);
    });
}

/** The last point of a rising list that is before a time. */
function lastBefore(points: readonly Point[], timeUs: number): Point | undefined {
  let low = 0;
  let high = points.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (points[middle]!.timeUs < timeUs) low = middle + 1;
    else high = middle;
  }
  return points[low - 1];
}
