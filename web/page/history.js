/** The points of one series: fetched as a whole, then kept up to date at their end. */

/**
 * A raw value, or the mean of a rollup between its lowest and highest.
 * @typedef {{ timeMs: number, value: number, min: number, max: number }} Point
 * @typedef {{ site: string, device: string, field: string }} Series
 * @typedef {'raw' | '1m' | '1h' | '1d'} Resolution
 * @typedef {{ startMs: number, endMs: number }} Range
 */

/** Of a range that holds more, the server gives the newest. */
export const MAX_POINTS = 10_000;
/** How far back the end of a series is fetched again: late readings and corrected rollups change what was there. */
const OVERLAP_MS = { raw: 60_000, '1m': 15 * 60_000, '1h': 2 * 3_600_000, '1d': 2 * 86_400_000 };
/** A device's clock may be ahead of ours. */
const AHEAD_MS = 60_000;

export class SeriesHistory {
  /** Oldest first. @type {readonly Point[]} */
  points = [];
  /** What the server said when it last gave nothing, in words; empty when it gave. */
  failure = '';
  /** Whether the whole range was fetched once, so that only its end is missing. */
  isComplete = false;
  #series;
  #resolution;
  #closing = new AbortController();
  #isFetching = false;

  /**
   * @param {Series} series
   * @param {Resolution} resolution
   */
  constructor(series, resolution) {
    this.#series = series;
    this.#resolution = resolution;
  }

  /** Fetches what of the range is not known; does nothing while it still does. Never rejects. @param {Range} range */
  async update({ startMs, endMs }) {
    if (this.#isFetching) return;
    this.#isFetching = true;
    const last = this.points.at(-1);
    const isTail = this.isComplete && last !== undefined;
    const fromMs = isTail ? Math.max(startMs, last.timeMs - OVERLAP_MS[this.#resolution]) : startMs;
    try {
      const newer = await this.#fetch(fromMs, endMs + AHEAD_MS);
      const known = this.points.filter(({ timeMs }) => timeMs >= startMs && timeMs < fromMs);
      this.points = [...known, ...newer].slice(-MAX_POINTS);
      this.isComplete = true;
      this.failure = '';
    } catch (error) {
      this.failure = error instanceof Error ? error.message : String(error);
    } finally {
      this.#isFetching = false;
    }
  }

  /** Gives up what is under way. */
  close() {
    this.#closing.abort();
  }

  /**
   * @param {number} fromMs
   * @param {number} toMs
   * @returns {Promise<Point[]>}
   */
  async #fetch(fromMs, toMs) {
    const query = new URLSearchParams({ ...this.#series, limit: String(MAX_POINTS) });
    query.set('from', String(Math.floor(fromMs)));
    query.set('to', String(Math.ceil(toMs)));
    if (this.#resolution !== 'raw') query.set('every', this.#resolution);
    const response = await fetch(`/api/history?${query}`, { signal: this.#closing.signal });
    const answer = await response.json();
    if (!response.ok) throw new Error(/** @type {import('../api.ts').Failure} */ (answer).error.message);
    return /** @type {import('../api.ts').History} */ (answer).points.flatMap((point) => {
      const value = this.#resolution === 'raw' ? point.value : point.mean;
      if (typeof value !== 'number') return [];
      return [{ timeMs: point.timeMs, value, min: numberOr(point.min, value), max: numberOr(point.max, value) }];
    });
  }
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
