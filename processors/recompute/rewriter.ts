/** Puts computed points beside the stored ones, and writes those that tell something else. */
import type { Fields, FieldValue } from '../../core/reading.ts';
import type { Point, Store, StoredWindow } from '../../store/port.ts';
import type { Retrying } from './retrying.ts';
import type { SkippedReason, Tally } from './summary.ts';

const maxPointsOfWrite = 5000;
/** Sums of the same values in another order differ by less. */
const tolerance = 1e-9;
/** What tells windows of other readings apart, where there is a count; the rest follows from them. */
const telling = ['count', 'sum', 'min', 'max', 'mean', 'final', 'durationMs', 'retracted'];

export interface RewriteOptions {
  /** Stored points are looked for up to here, exclusive, microseconds; at least those of the computed ones are. */
  readonly untilUs?: number;
  /** Why a point stays that is there already; `null`: what is computed decides. */
  readonly keep?: (point: Point) => SkippedReason | null;
  /** What becomes of stored points beside the computed ones. */
  readonly others?: (stored: readonly StoredWindow[]) => readonly Point[];
}

export class Rewriter {
  readonly #store: Store;
  readonly #retrying: Retrying;
  readonly #tally: Tally;
  readonly #isDryRun: boolean;

  constructor(store: Store, retrying: Retrying, tally: Tally, isDryRun: boolean) {
    this.#store = store;
    this.#retrying = retrying;
    this.#tally = tally;
    this.#isDryRun = isDryRun;
  }

  /** Points of one measurement of one device, of each window one. Resolves when all that is new is stored. */
  async rewrite(points: readonly Point[], { untilUs, keep, others }: RewriteOptions = {}): Promise<void> {
    if (points.length === 0) return;
    const stored = await this.#storedBeside(points, untilUs);
    const byPlace = new Map(stored.map((window) => [placeOf(window.timeUs, window.tags), window.fields]));
    const [added, changed]: [Point[], Point[]] = [[], []];
    for (const point of points) {
      const { measurement } = point.series;
      const before = byPlace.get(placeOf(point.timeUs, point.series.tags));
      const verdict = verdictOf(point.fields, before);
      const kept = before === undefined || verdict === 'unchanged' ? null : (keep?.(point) ?? null);
      if (kept !== null) this.#tally.skip(measurement, kept);
      else if (verdict === 'more_was_counted') this.#tally.skip(measurement, verdict);
      else if (verdict === 'unchanged') this.#tally.of(measurement).unchanged++;
      else if (before === undefined) added.push(point);
      else changed.push(successorOf(point, before));
    }
    await this.add(added);
    await this.#write([...changed, ...(others?.(stored) ?? [])], 'changed');
  }

  /** Writes points of which none is stored, or the same. */
  add(points: readonly Point[]): Promise<void> {
    return this.#write(points, 'added');
  }

  async #write(points: readonly Point[], as: 'added' | 'changed'): Promise<void> {
    for (let from = 0; from < points.length; from += maxPointsOfWrite) {
      const some = points.slice(from, from + maxPointsOfWrite);
      const refusals = this.#isDryRun ? [] : await this.#retrying.until(() => this.#store.write(some));
      const refused = new Set(refusals.map(({ index }) => index));
      for (const [index, { series }] of some.entries()) {
        if (refused.has(index)) this.#tally.skip(series.measurement, 'refused');
        else this.#tally.of(series.measurement)[as]++;
      }
    }
  }

  #storedBeside(points: readonly Point[], untilUs = 0): Promise<StoredWindow[]> {
    const { measurement, tags } = points[0]!.series;
    const [site, device] = [tags.site!, tags.device!];
    const fromUs = points.reduce((least, { timeUs }) => Math.min(least, timeUs), Number.POSITIVE_INFINITY);
    const toUs = points.reduce((most, { timeUs }) => Math.max(most, timeUs + 1), untilUs);
    const query = { measurement, site, device, fromMs: fromUs / 1000, toMs: toUs / 1000 };
    return this.#retrying.until(() => this.#store.windows(query));
  }
}

/** The point in the place of one that is stored. */
export function successorOf(point: Point, before: Fields): Point {
  const revision = typeof before.revision === 'number' ? before.revision + 1 : 1;
  return { ...point, fields: { ...point.fields, revision } };
}

type Verdict = 'added' | 'changed' | 'unchanged' | 'more_was_counted';

/** A point that counts more readings than there are was made of some that are gone, or that the store has refused. */
function verdictOf(computed: Fields, stored: Fields | undefined): Verdict {
  if (stored === undefined) return 'added';
  if (typeof computed.count === 'number' && Number(stored.count) > computed.count) return 'more_was_counted';
  const names = 'count' in computed ? telling.filter((name) => name in computed) : Object.keys(computed);
  const isSame = (name: string) => {
    // Closed for now says nothing against closed for good.
    if (name === 'revision' || (name === 'final' && computed.final === false)) return true;
    return isEqual(computed[name]!, stored[name]);
  };
  return names.every(isSame) ? 'unchanged' : 'changed';
}

function isEqual(a: FieldValue, b: FieldValue | undefined): boolean {
  if (typeof a !== 'number' || typeof b !== 'number') return a === b;
  return Math.abs(a - b) <= tolerance * Math.max(Math.abs(a), Math.abs(b));
}

function placeOf(timeUs: number, { field, state }: Readonly<Record<string, string>>): string {
  return `${timeUs}\0${field}\0${state ?? ''}`;
}
