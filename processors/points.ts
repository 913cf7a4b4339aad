/** Readings, rollups and alerts as points. A series is made once and reused: stores cache by the identity of the object. */
import type { Alert } from '../core/alert.ts';
import type { Point, RollupEvery, Series } from '../store/port.ts';
import type { Fold } from './window/fold.ts';

export function rawSeries(site: string, device: string): Series {
  return { bucket: 'raw', measurement: 'telemetry', tags: { site, device } };
}

export function rollupSeries(every: RollupEvery, site: string, device: string, field: string): Series {
  return { bucket: 'rollup', measurement: `rollup_${every}`, tags: { site, device, field } };
}

/** The point of a minute, an hour or a day: always all fields, so that an overwrite leaves nothing of its former value. */
export function rollupPoint(series: Series, startUs: number, fold: Fold, revision: number, final: boolean): Point {
  const { count, sum, min, max, mean, stddev, first, last, p50, p95, p99 } = fold.summary();
  return {
    series,
    fields: { count, sum, min, max, mean, stddev, first, last, p50, p95, p99, revision, final },
    timeUs: startUs,
    k: 0,
  };
}

/** The point of an alert's transition, for dashboards: the alerts topic is what consumers act on. */
export function alertPoint(alert: Alert, timeUs: number): Point {
  const { site, device, rule, severity, status, value, threshold, id, episodeId, seq, reason, summary } = alert;
  return {
    series: { bucket: 'raw', measurement: 'alerts', tags: { site, device, rule, severity } },
    fields: { status, firing: status === 'firing', value, threshold, id, episode: episodeId, seq, reason, summary },
    timeUs,
    // Two transitions of one episode may share a moment.
    k: seq % 1000,
  };
}

/**
 * Whether an older value of this rollup may have been written. The first value (`revision` 0) is the same whoever tells
 * it, so no write of another processor, however late it arrives, can undo it. (A device that was forgotten and comes back
 * begins again with 0: it takes the place of what still waits to be written of its former life.)
 */
export function isRevised({ fields }: Point): boolean {
  return fields.revision !== 0;
}

/** The newest value of each rollup: an older one of the same batch need not be written. */
export function newestPoints(points: readonly Point[]): readonly Point[] {
  const revised = new Map<Series, Set<number>>();
  const newest: Point[] = [];
  for (let i = points.length - 1; i >= 0; i--) {
    const point = points[i]!;
    const times = revised.get(point.series);
    if (times?.has(point.timeUs)) continue;
    if (isRevised(point)) {
      if (times === undefined) revised.set(point.series, new Set([point.timeUs]));
      else times.add(point.timeUs);
    }
    newest.push(point);
  }
  return newest.reverse();
}

const seriesKeys = new WeakMap<Series, string>();

/** The identity of a point as text. */
export function pointKey({ series, timeUs, k }: Point): string {
  let key = seriesKeys.get(series);
  if (key === undefined) {
    key = `${series.measurement}\0${JSON.stringify(series.tags)}`;
    seriesKeys.set(series, key);
  }
  return `${key}\0${timeUs}\0${k}`;
}
