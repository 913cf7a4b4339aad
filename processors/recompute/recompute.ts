/**
 * `sluice recompute`: rebuilds windows from the stored readings, those that came too late among them, device by device.
 * Whatever it is interrupted at, running it again ends the same.
 */
import type { Bus } from '../../bus/port.ts';
import type { Clock } from '../../core/clock.ts';
import { SluiceError } from '../../core/errors.ts';
import { partitionOf } from '../../core/partition.ts';
import { deviceKey } from '../../core/reading.ts';
import type { TopicNames } from '../../core/topics.ts';
import type { Store } from '../../store/port.ts';
import type { ProcessingOptions } from '../options.ts';
import { measurementsOf } from '../window/measurements.ts';
import { DeviceRebuild, type Sender } from './device-rebuild.ts';
import { readHeld } from './held.ts';
import { Retrying } from './retrying.ts';
import { Rewriter } from './rewriter.ts';
import { type Range, scopeOf } from './scope.ts';
import type { Tally } from './summary.ts';

/** At the bound there may be more, and the range has to be asked for device by device. */
const maxDevices = 500_000;
const progressEveryMs = 2000;

export interface RecomputeContext {
  readonly bus: Bus;
  readonly store: Store;
  readonly topics: TopicNames;
  /** Of the processors. */
  readonly group: string;
  readonly options: ProcessingOptions;
  /** How long the store keeps readings, `null` = for ever. */
  readonly rawRetentionMs: number | null;
  readonly clock: Clock;
  /** Ends it between two steps. */
  readonly signal: AbortSignal;
  /** Hears what goes on, a line at a time. */
  readonly tell: (text: string) => void;
}

export interface DeviceName {
  readonly site: string;
  readonly device: string;
}

export interface RecomputeRequest {
  readonly range: Range;
  /** `null`: all that have readings in the range. */
  readonly device: DeviceName | null;
  /** Counts, and writes nothing. */
  readonly isDryRun: boolean;
}

/** What was done is in `tally`, also when it rejects: with STATE_UNREADABLE, or the reason of the signal. */
export async function recompute(context: RecomputeContext, request: RecomputeRequest, tally: Tally): Promise<void> {
  const { bus, store, topics, group, options, rawRetentionMs, clock, signal, tell } = context;
  const scope = scopeOf(request.range, measurementsOf(options));
  const retrying = new Retrying(clock, signal, tell);
  const nowUs = clock.nowMs() * 1000;
  const rebuild = {
    store,
    options,
    scope,
    keptFromUs: rawRetentionMs === null ? Number.NEGATIVE_INFINITY : nowUs - rawRetentionMs * 1000,
    rewriter: new Rewriter(store, retrying, tally, request.isDryRun),
    retrying,
    tally,
  };
  const partitions = await retrying.until(() => bus.partitionCount(topics.raw));
  const senders = await retrying.until(() => sendersOf(store, request, scope.readings.fromUs));
  const byPartition = Map.groupBy(senders, ({ key }) => partitionOf(key, partitions));
  const progress = new Progress(clock, tell, senders.length);
  for (const [partition, ofPartition] of byPartition) {
    const held = await retrying.until(async () => {
      const committed = await bus.committed(topics.raw, group);
      return readHeld({ bus, topics, options }, partition, committed[partition] ?? null, tell);
    });
    for (const sender of ofPartition) {
      await new DeviceRebuild(rebuild, sender, held).run();
      tally.devices++;
      progress.tell(tally.devices);
    }
  }
}

async function sendersOf(store: Store, { device }: RecomputeRequest, fromUs: number): Promise<Sender[]> {
  if (device !== null) return [{ ...device, key: deviceKey(device.site, device.device) }];
  const newest = await store.newest(fromUs / 1000, maxDevices);
  if (newest.length === maxDevices) {
    throw new SluiceError('CONFIG_INVALID', `there are ${maxDevices} devices or more: name one with --device`);
  }
  return newest.map(({ site, device: name }) => ({ site, device: name, key: deviceKey(site, name) }));
}

class Progress {
  readonly #clock: Clock;
  readonly #tell: (text: string) => void;
  readonly #devices: number;
  #toldAtMs: number;

  constructor(clock: Clock, tell: (text: string) => void, devices: number) {
    this.#clock = clock;
    this.#tell = tell;
    this.#devices = devices;
    this.#toldAtMs = clock.nowMs();
  }

  tell(done: number): void {
    if (this.#clock.nowMs() - this.#toldAtMs < progressEveryMs) return;
    this.#toldAtMs = this.#clock.nowMs();
    this.#tell(`${done} of ${this.#devices} devices`);
  }
}
