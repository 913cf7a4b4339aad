/** The points of one series: fetched as a whole, then kept up to date at their end. */

/**
 * A raw value, or the mean of a rollup between its lowest and highest.
 * @typedef {{ timeMs: number, value: number, min: number, max: number }} Point
 * @typedef {{ site: string, device: string, field: string }} Series
 * @typedef {'raw' | '1m'} Resolution
 */

/** How far back the end of a series is fetched again: late readings and corrected rollups change what was there. */
const OVERLAP_MS = { raw: 60_000, '1m': 15 * 60_000 };

/** Of a range that holds more, the server gives the newest. */
export const MAX_POINTS = 10_000;

/**
 * Rejects with the server's own words when it refuses.
 * @param {Series} series
 * @param {Resolution} resolution
 * @param {{ fromMs: number, toMs: number, signal: AbortSignal }} range
 * @returns {Promise<Point[]>} oldest first
 */
export async function fetchPoints(series, resolution, { fromMs, toMs, signal }) {
  const query = new URLSearchParams({ ...series, limit: String(MAX_POINTS) });
  query.set('from', String(Math.floor(fromMs)));
  query.set('to', String(Math.ceil(toMs)));
  if (resolution !== 'raw') query.set('every', resolution);
  const response = await fetch(`/api/history?${query}`, { signal });
  const answer = await response.json();
  if (!response.ok) throw new Error(/** @type {import('../api.ts').Failure} */ (answer).error.message);
  return /** @type {import('../api.ts').History} */ (answer).points.flatMap((point) => {
    const value = resolution === 'raw' ? point.value : point.mean;
    if (typeof value !== 'number') return [];
    return [{ timeMs: point.timeMs, value, min: numberOr(point.min, value), max: numberOr(point.max, value) }];
  });
}

/**
 * From where to fetch again what was fetched before.
 * @param {readonly Point[]} points
 * @param {Resolution} resolution
 * @param {number} startMs of the range shown
 */
export function tailFromMs(points, resolution, startMs) {
  const last = points.at(-1);
  return last === undefined ? startMs : Math.max(startMs, last.timeMs - OVERLAP_MS[resolution]);
}

/**
 * Replaces all from `fromMs` on by `tail`, and lets go of what is older than `startMs` or too many.
 * @param {readonly Point[]} points
 * @param {readonly Point[]} tail
 * @param {{ startMs: number, fromMs: number }} range
 */
export function mergeTail(points, tail, { startMs, fromMs }) {
  return [...points.filter(({ timeMs }) => timeMs >= startMs && timeMs < fromMs), ...tail].slice(-MAX_POINTS);
}

/**
 * Columns for the plot, `null` where a silence is so long that a line across it would pretend to know.
 * @param {readonly Point[]} points
 * @returns {[number[], (number | null)[], (number | null)[], (number | null)[]]} times in ms, value, max, min
 */
export function toColumns(points) {
  const gapMs = longestStepMs(points);
  /** @type {number[]} */
  const times = [];
  /** @type {(Point | null)[]} */
  const rows = [];
  for (const point of points) {
    const before = times.at(-1);
    if (before !== undefined && point.timeMs - before > gapMs) {
      times.push(before + 1);
      rows.push(null);
    }
    times.push(point.timeMs);
    rows.push(point);
  }
  return [
    times,
    rows.map((row) => row?.value ?? null),
    rows.map((row) => row?.max ?? null),
    rows.map((row) => row?.min ?? null),
  ];
}

/**
 * Four steps as nine of ten are at most, and not under 10 s: a device that sends in bursts or skips a few readings has not
 * been silent.
 * @param {readonly Point[]} points
 */
function longestStepMs(points) {
  const steps = points.slice(1).map(({ timeMs }, index) => timeMs - (points[index]?.timeMs ?? timeMs));
  steps.sort((a, b) => a - b);
  return Math.max(10_000, 4 * (steps[Math.floor(0.9 * steps.length)] ?? 0));
}

/** @param {unknown} value @param {number} otherwise */
const numberOr = (value, otherwise) => (typeof value === 'number' ? value : otherwise);
