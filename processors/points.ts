/** The series of one device, made once and reused: stores cache by the identity of these objects. */
import type { Alert } from '../core/alert.ts';
import type { Point, Series } from '../store/port.ts';
import type { Aggregates } from './window/fold.ts';

export class DeviceSeries {
  readonly raw: Series;
  readonly #site: string;
  readonly #device: string;
  readonly #rollups = new Map<string, Series>();

  constructor(site: string, device: string) {
    this.#site = site;
    this.#device = device;
    this.raw = { bucket: 'raw', measurement: 'telemetry', tags: { site, device } };
  }

  /** The point of a one-minute window; always all fields, so that an overwrite leaves nothing of its former value. */
  rollup(field: string, startUs: number, aggregates: Aggregates, revision: number, final: boolean): Point {
    let series = this.#rollups.get(field);
    if (series === undefined) {
      const tags = { site: this.#site, device: this.#device, field };
      series = { bucket: 'rollup', measurement: 'rollup_1m', tags };
      this.#rollups.set(field, series);
    }
    return { series, fields: { ...aggregates, revision, final }, timeUs: startUs, k: 0 };
  }
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

/** The newest value of each rollup: an older one of the same batch need not be written. */
export function newestPoints(points: readonly Point[]): readonly Point[] {
  if (points.length < 2) return points;
  const bySeries = new Map<Series, Map<number, Point>>();
  for (const point of points) {
    let byTime = bySeries.get(point.series);
    if (byTime === undefined) {
      byTime = new Map();
      bySeries.set(point.series, byTime);
    }
    byTime.set(point.timeUs, point);
  }
  return [...bySeries.values()].flatMap((byTime) => [...byTime.values()]);
}

/** The identity of a point as text. */
export function pointKey({ series, timeUs, k }: Point): string {
  return `${series.measurement}\0${JSON.stringify(series.tags)}\0${timeUs}\0${k}`;
}
