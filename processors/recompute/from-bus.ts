/**
 * `sluice recompute --from-bus`: what the raw topic still holds goes once more through the stages of the processor, and
 * the store gets the readings and windows that come out. The same log gives the same points, so a processor may run
 * meanwhile: what it corrects while we write is in the log when we have written, and then written once more.
 */
import type { BusRecord } from '../../bus/port.ts';
import { partitionOf } from '../../core/partition.ts';
import { deviceKey } from '../../core/reading.ts';
import type { Point } from '../../store/port.ts';
import type { RawPoint } from '../outputs.ts';
import { pointKey } from '../points.ts';
import { Topology } from '../topology.ts';
import { type Measurement, measurementsOf } from '../window/measurements.ts';
import type { DeviceName, RecomputeContext } from './recompute.ts';
import { Retrying } from './retrying.ts';
import { Rewriter } from './rewriter.ts';
import { type Range, settledByUs, startsOf } from './scope.ts';
import type { Tally } from './summary.ts';

const readRecords = 5000;
/** Windows that are settled wait for one another: the store is asked for those of a device in one go. */
const maxPointsInHand = 200_000;
const progressEveryMs = 2000;

export interface FromBusRequest {
  /** `null`: all that the bus holds. */
  readonly range: Range | null;
  /** `null`: all. */
  readonly device: DeviceName | null;
  readonly isDryRun: boolean;
}

/** What was done is in `tally`, also when it rejects with the reason of the signal. */
export async function recomputeFromBus(
  context: RecomputeContext,
  request: FromBusRequest,
  tally: Tally,
): Promise<void> {
  const { bus, store, topics, clock, signal, tell } = context;
  const retrying = new Retrying(clock, signal, tell);
  const rewriter = new Rewriter(store, retrying, tally, request.isDryRun);
  const count = await retrying.until(() => bus.partitionCount(topics.raw));
  const { device } = request;
  const all = Array.from({ length: count }, (_, partition) => partition);
  const wanted = device === null ? all : [partitionOf(deviceKey(device.site, device.device), count)];
  for (const partition of wanted) {
    await new PartitionReplay(context, request, partition, retrying, rewriter, tally).run();
  }
}

class PartitionReplay {
  readonly #context: RecomputeContext;
  readonly #request: FromBusRequest;
  readonly #partition: number;
  readonly #retrying: Retrying;
  readonly #rewriter: Rewriter;
  readonly #tally: Tally;
  readonly #measurements: ReadonlyMap<string, Measurement>;
  readonly #devices = new Set<string>();
  /** The newest point of each window that is not written yet, by `pointKey`. */
  #points = new Map<string, Point>();
  #topology!: Topology;
  /** When the oldest record came. */
  #firstUs = 0;
  #toldAtMs = 0;

  constructor(
    context: RecomputeContext,
    request: FromBusRequest,
    partition: number,
    retrying: Retrying,
    rewriter: Rewriter,
    tally: Tally,
  ) {
    this.#context = context;
    this.#request = request;
    this.#partition = partition;
    this.#retrying = retrying;
    this.#rewriter = rewriter;
    this.#tally = tally;
    this.#measurements = new Map(measurementsOf(context.options).map((each) => [each.name, each]));
  }

  async run(): Promise<void> {
    const first = await this.#read(0);
    if (first.records.length === 0) return;
    const { offset, timestampMs } = first.records[0]!;
    this.#topology = new Topology(this.#context.options, [], offset);
    this.#firstUs = timestampMs * 1000;
    let settleAt = maxPointsInHand;
    const end = await this.#replay(offset, first.endOffset, async (records) => {
      const readings = this.#topology.outputs.raw.filter((raw) => this.#isWantedReading(raw));
      this.#keep(this.#topology.outputs.rollups, () => true);
      this.#topology.outputs.clear();
      await this.#writeReadings(readings);
      if (this.#points.size >= settleAt) {
        await this.#writeSettled();
        settleAt = Math.max(maxPointsInHand, this.#points.size * 2);
      }
      this.#tellProgress(records.at(-1)!.offset + 1, first.endOffset);
    });
    await this.#writeRest(end);
    this.#tally.devices += this.#devices.size;
  }

  /** Writes what is left; a processor may have corrected some of it meanwhile, or not have it any more. */
  async #writeRest(end: number): Promise<void> {
    let next = end;
    while (this.#points.size > 0) {
      const points = this.#points;
      this.#points = new Map();
      await this.#writeWindows([...points.values()]);
      if (this.#request.isDryRun) return;
      const { endOffset } = await this.#read(next);
      next = await this.#replay(next, endOffset, async () => {
        // All others are the processor's, which comes to them by itself.
        this.#keep(this.#topology.outputs.rollups, (key) => points.has(key));
        this.#topology.outputs.clear();
      });
    }
  }

  /** Processes records up to an offset; returns that of the next one. */
  async #replay(from: number, end: number, onBatch: (records: readonly BusRecord[]) => Promise<void>): Promise<number> {
    let next = from;
    while (next < end) {
      const { records } = await this.#read(next);
      const some = records.filter(({ offset }) => offset < end);
      if (some.length === 0) return end;
      for (const record of some) this.#topology.process(record);
      await onBatch(some);
      next = some.at(-1)!.offset + 1;
    }
    return next;
  }

  #read(from: number): Promise<{ records: BusRecord[]; endOffset: number }> {
    const { bus, topics } = this.#context;
    return this.#retrying.until(() => bus.read(topics.raw, this.#partition, from, readRecords));
  }

  #isWantedReading({ point: { timeUs }, reading: { site, device } }: RawPoint): boolean {
    const { range } = this.#request;
    if (range !== null && (timeUs < range.fromUs || timeUs >= range.toUs)) return false;
    return this.#isOfDevice(site, device);
  }

  #isOfDevice(site: string | undefined, device: string | undefined): boolean {
    const wanted = this.#request.device;
    return wanted === null || (wanted.site === site && wanted.device === device);
  }

  #keep(points: readonly Point[], isMeant: (key: string) => boolean): void {
    for (const point of points) {
      const { measurement, tags } = point.series;
      if (!this.#isOfDevice(tags.site, tags.device)) continue;
      const { range } = this.#request;
      if (range !== null) {
        const starts = startsOf(this.#measurements.get(measurement)!, range);
        if (point.timeUs < starts.fromUs || point.timeUs >= starts.toUs) continue;
      }
      const key = pointKey(point);
      if (isMeant(key)) this.#points.set(key, point);
    }
  }

  async #writeReadings(readings: readonly RawPoint[]): Promise<void> {
    this.#tally.readings += readings.length;
    const points: Point[] = [];
    for (const { point, source } of readings) {
      this.#devices.add(source.key);
      if (point.timeUs >= this.#firstUs || !(await this.#isStored(point))) points.push(point);
    }
    await this.#rewriter.add(points);
  }

  /**
   * A reading from before the oldest record may have been late, or have come again: with what came before it we would
   * know, and store it under another `k` or not at all. So it is written where the store has none of that moment.
   */
  async #isStored({ series, timeUs }: Point): Promise<boolean> {
    const { site, device } = series.tags;
    const { store } = this.#context;
    const [fromMs, toMs] = [timeUs / 1000, (timeUs + 1) / 1000];
    const there = await this.#retrying.until(() => store.readings(site!, device!, fromMs, toMs));
    return there.length > 0;
  }

  /** Of windows that nothing in the log can change any more. */
  async #writeSettled(): Promise<void> {
    const { devices } = this.#topology;
    const points: Point[] = [];
    for (const [key, point] of this.#points) {
      const { measurement, tags } = point.series;
      // One that was forgotten has nothing more to say.
      const settledUs = devices.get(deviceKey(tags.site!, tags.device!))?.settledUs ?? Number.POSITIVE_INFINITY;
      if (settledByUs(this.#measurements.get(measurement)!, point) > settledUs) continue;
      points.push(point);
      this.#points.delete(key);
    }
    await this.#writeWindows(points);
  }

  async #writeWindows(points: readonly Point[]): Promise<void> {
    const keep = ({ timeUs }: Point) => (timeUs < this.#firstUs ? 'cut_off' : null);
    const groups = Map.groupBy(points, ({ series: { measurement, tags } }) =>
      JSON.stringify([measurement, tags.site, tags.device]),
    );
    for (const group of groups.values()) await this.#rewriter.rewrite(group, { keep });
  }

  #tellProgress(next: number, end: number): void {
    const { clock, tell } = this.#context;
    if (clock.nowMs() - this.#toldAtMs < progressEveryMs) return;
    this.#toldAtMs = clock.nowMs();
    tell(`partition ${this.#partition}: offset ${next} of ${end}`);
  }
}
