/** Which windows a range of time has to do with, and which readings they are made of: it is rounded outward to whole ones. */
import type { Point } from '../../store/port.ts';
import { dayUs } from '../window/custom/grid.ts';
import { type Measurement, stateMeasurement } from '../window/measurements.ts';
import { minuteUs } from '../window/minute.ts';

/** Integer microseconds; the end is exclusive. */
export interface Range {
  readonly fromUs: number;
  readonly toUs: number;
}

/** Windows of a measurement that begin within a range. */
export interface Share extends Range {
  readonly measurement: Measurement;
}

export interface Scope {
  /** What was asked for. */
  readonly range: Range;
  /** By name of the measurement. */
  readonly shares: ReadonlyMap<string, Share>;
  /** Readings that these windows are made of, or that tell where they begin. */
  readonly readings: Range;
}

/** Starts of the windows that hold a moment of the range. */
export function startsOf({ name, windows }: Measurement, { fromUs, toUs }: Range): Range {
  // A session is no longer than a day.
  if ('gapUs' in windows) return { fromUs: fromUs - dayUs, toUs };
  const { grid, spanUs } = windows;
  const firstUs = grid.startUs(fromUs) - spanUs;
  // A minute that ends in another state than it did changes the next one, too.
  if (name === stateMeasurement) return { fromUs: firstUs, toUs: grid.endUs(grid.startUs(toUs - 1)) + 1 };
  return { fromUs: firstUs, toUs };
}

/** From the first of these windows to the end of the last; sessions have no borders of their own to round to. */
export function roundedOutward(measurement: Measurement, range: Range): Range {
  const { windows } = measurement;
  if ('gapUs' in windows) return range;
  const { fromUs, toUs } = startsOf(measurement, range);
  return { fromUs, toUs: windows.grid.endUs(windows.grid.startUs(toUs - 1) + windows.spanUs) };
}

export function scopeOf(range: Range, measurements: readonly Measurement[]): Scope {
  const shares = measurements.map((measurement) => ({ measurement, ...startsOf(measurement, range) }));
  const ranges = shares.map(readingsOf);
  return {
    range,
    shares: new Map(shares.map((share) => [share.measurement.name, share])),
    readings: {
      fromUs: Math.min(...ranges.map(({ fromUs }) => fromUs)),
      toUs: Math.max(...ranges.map(({ toUs }) => toUs)),
    },
  };
}

function readingsOf({ measurement: { name, windows }, fromUs, toUs }: Share): Range {
  // Where a session begins is known from the silence before it; one that was cut, from the one it was cut from.
  if ('gapUs' in windows) return { fromUs: fromUs - dayUs - windows.gapUs, toUs: toUs + dayUs };
  const endUs = windows.grid.endUs(windows.grid.startUs(toUs - 1) + windows.spanUs);
  // A minute may begin in the state in which the one before it ended.
  return { fromUs: name === stateMeasurement ? fromUs - minuteUs : fromUs, toUs: endUs };
}

/** A device whose windows are settled up to there has nothing more to say to the point. */
export function settledByUs({ name, windows }: Measurement, point: Point): number {
  if ('gapUs' in windows) return lastUsOf(point) + windows.gapUs;
  const endUs = windows.grid.endUs(point.timeUs + windows.spanUs);
  // The next minute may begin in its state.
  return name === stateMeasurement ? endUs + minuteUs : endUs;
}

/** Time of the last reading of a session. */
export function lastUsOf({ timeUs, fields }: Point): number {
  return timeUs + Math.round(Number(fields.durationMs) * 1000);
}
