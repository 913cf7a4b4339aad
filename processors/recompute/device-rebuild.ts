/** Rebuilds the windows of one device from its stored readings, in one walk along them. */
import type { Point, Store } from '../../store/port.ts';
import type { ProcessingOptions } from '../options.ts';
import { type Measurement, stateMeasurement } from '../window/measurements.ts';
import type { Held } from './held.ts';
import { KnownStarts } from './known-starts.ts';
import { OrderedWindows } from './ordered-windows.ts';
import type { Retrying } from './retrying.ts';
import type { Rewriter } from './rewriter.ts';
import { lastUsOf, type Scope, type Share, settledByUs } from './scope.ts';
import { storedReadings } from './stored-readings.ts';
import type { SkippedReason, Tally } from './summary.ts';
import { absentStates, joinedSessions } from './vanished.ts';

/** Closed windows are put beside the stored ones in lots of about so many. */
const maxPointsInHand = 5000;

export interface RebuildContext {
  readonly store: Store;
  readonly options: ProcessingOptions;
  readonly scope: Scope;
  /** Readings before it may be gone from the store, microseconds. */
  readonly keptFromUs: number;
  readonly rewriter: Rewriter;
  readonly retrying: Retrying;
  readonly tally: Tally;
}

export interface Sender {
  readonly site: string;
  readonly device: string;
  readonly key: string;
}

export class DeviceRebuild {
  readonly #context: RebuildContext;
  readonly #sender: Sender;
  readonly #held: Held;
  /** By measurement, of those with sessions. */
  readonly #knownStarts = new Map<string, KnownStarts>();
  /** By measurement. */
  #points = new Map<string, Point[]>();
  #inHand = 0;

  constructor(context: RebuildContext, sender: Sender, held: Held) {
    this.#context = context;
    this.#sender = sender;
    this.#held = held;
    const { shares, readings } = context.scope;
    for (const [name, { measurement }] of shares) {
      const { windows } = measurement;
      if ('gapUs' in windows) this.#knownStarts.set(name, new KnownStarts(windows.gapUs, readings.fromUs));
    }
  }

  async run(): Promise<void> {
    const { store, options, scope, retrying, tally } = this.#context;
    const { site, device } = this.#sender;
    const windows = new OrderedWindows(site, device, options);
    for await (const reading of storedReadings(store, site, device, scope.readings, retrying)) {
      tally.readings++;
      windows.add(reading);
      for (const starts of this.#knownStarts.values()) starts.add(reading);
      for (const point of windows.take()) this.#sort(point);
      if (this.#inHand >= maxPointsInHand) await this.#rewrite();
    }
    windows.finish();
    for (const point of windows.take()) this.#sort(point);
    await this.#rewrite();
  }

  #sort(point: Point): void {
    const { measurement: name } = point.series;
    const share = this.#context.scope.shares.get(name);
    if (share === undefined || !this.#isAskedFor(share, point)) return;
    const skipped = this.#skipped(share.measurement, point);
    if (skipped !== null) {
      this.#context.tally.skip(name, skipped);
      return;
    }
    const points = this.#points.get(name);
    if (points === undefined) this.#points.set(name, [point]);
    else points.push(point);
    this.#inHand++;
  }

  #isAskedFor({ measurement, fromUs, toUs }: Share, point: Point): boolean {
    if (point.timeUs < fromUs || point.timeUs >= toUs) return false;
    return 'gapUs' in measurement.windows ? lastUsOf(point) >= this.#context.scope.range.fromUs : true;
  }

  #skipped(measurement: Measurement, point: Point): SkippedReason | null {
    const { name, windows } = measurement;
    const held = this.#held;
    if (settledByUs(measurement, point) > held.settledUs(this.#sender.key) || held.willWrite(point)) return 'unsettled';
    const beganUs = 'gapUs' in windows ? point.timeUs - windows.gapUs : point.timeUs;
    if (beganUs < this.#context.keptFromUs) return 'readings_gone';
    const starts = this.#knownStarts.get(name);
    return starts?.isKnown(point.series.tags.field!, point.timeUs) === false ? 'start_unknown' : null;
  }

  async #rewrite(): Promise<void> {
    const { rewriter, scope } = this.#context;
    const all = this.#points;
    this.#points = new Map();
    this.#inHand = 0;
    for (const [name, points] of all) {
      if (name === stateMeasurement) {
        await rewriter.rewrite(points, { others: (stored) => absentStates(points, stored) });
      } else if ('gapUs' in scope.shares.get(name)!.measurement.windows) {
        const untilUs = points.reduce((latest, point) => Math.max(latest, lastUsOf(point) + 1), 0);
        await rewriter.rewrite(points, { untilUs, others: (stored) => joinedSessions(points, stored) });
      } else {
        await rewriter.rewrite(points);
      }
    }
  }
}
