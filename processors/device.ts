/** What is known of one device: its time, what was seen of it, its windows, its rules. */
import type { Alert } from '../core/alert.ts';
import type { Reading } from '../core/reading.ts';
import type { Series } from '../store/port.ts';
import type { StateReader, StateWriter } from './codec.ts';
import { SeenReadings } from './dedup.ts';
import type { ProcessingOptions } from './options.ts';
import { rawSeries } from './points.ts';
import { DeviceRules, type Raise } from './rules/device-rules.ts';
import type { Rule } from './rules/file.ts';
import { DeviceClock } from './skew.ts';
import type { Level } from './window/levels.ts';
import { minuteStartUs } from './window/minute.ts';
import { DeviceRollups, type Windowed } from './window/rollups.ts';
import type { Emit, Windower, WindowerKind } from './window/windower.ts';

/** What all devices of a partition share. */
export interface DeviceContext {
  readonly options: ProcessingOptions;
  readonly rules: readonly Rule[];
  /** Of rollups. */
  readonly levels: readonly Level[];
  /** Of all other windows. */
  readonly windowers: readonly WindowerKind[];
  readonly emit: Emit;
  readonly raise: Raise;
}

/** What a snapshot says in front of its devices, so that a change of the configuration does away with no more than it must. */
export interface SavedWindows {
  readonly isKept: (level: number) => boolean;
  /** Of the windowers in the snapshot, in order: which of ours each is, -1 for none. */
  readonly windowers: readonly number[];
}

export class Device {
  readonly site: string;
  readonly device: string;
  readonly series: Series;
  readonly seen = new SeenReadings();
  readonly rollups: DeviceRollups;
  readonly #windowers: readonly Windower[];
  readonly rules: DeviceRules;
  clock = new DeviceClock();
  /** Partition clock at its newest message: silence counts from here. */
  lastSeenMs = 0;
  readonly #outOfOrdernessUs: number;
  readonly #latenessUs: number;
  /** Nothing but the device's own readings moves it. */
  #newestUs = Number.NEGATIVE_INFINITY;

  constructor(site: string, device: string, context: DeviceContext) {
    const { options, rules, levels, windowers, emit, raise } = context;
    this.site = site;
    this.device = device;
    this.series = rawSeries(site, device);
    this.rollups = new DeviceRollups(site, device, levels, emit);
    this.#windowers = windowers.map((kind) => kind.make(site, device, emit));
    this.rules = new DeviceRules(site, device, rules, raise);
    this.#outOfOrdernessUs = options.outOfOrdernessMs * 1000;
    this.#latenessUs = options.latenessMs * 1000;
  }

  get watermarkUs(): number {
    return this.#newestUs - this.#outOfOrdernessUs;
  }

  /** Newest event time; the watermark follows it. */
  get newestUs(): number {
    return this.#newestUs;
  }

  /** Windows that end by then are final, and nothing can correct them. */
  get settledUs(): number {
    return Math.min(this.watermarkUs, this.seen.horizonUs);
  }

  /** The window of such a reading can no longer be corrected, and its duplicates can no longer be told. */
  isLate(timeUs: number): boolean {
    return timeUs < this.seen.horizonUs;
  }

  /** Takes a reading that is neither late nor a duplicate: windows, rules, then the watermark, which closes windows. */
  count(reading: Reading): Windowed {
    const { watermarkUs } = this;
    const windowed = this.rollups.add(reading, watermarkUs);
    if (windowed !== 'too_many_fields') for (const windower of this.#windowers) windower.add(reading, watermarkUs);
    this.rules.evaluate(reading);
    if (reading.timeUs > this.#newestUs) this.#advance(reading.timeUs);
    return windowed;
  }

  #advance(newestUs: number): void {
    this.#newestUs = newestUs;
    const { watermarkUs } = this;
    this.seen.trim(minuteStartUs(watermarkUs - this.#latenessUs));
    const { horizonUs } = this.seen;
    this.rollups.advance(watermarkUs, horizonUs);
    for (const windower of this.#windowers) windower.advance(watermarkUs, horizonUs);
  }

  /** The device is silent: what has been over by `untilUs` is told, but may still go on. */
  closeProvisionally(untilUs: number): void {
    this.rollups.closeProvisionally(untilUs);
    for (const windower of this.#windowers) windower.closeProvisionally(untilUs);
  }

  /** Nothing more will come: closes every window. */
  finalise(): void {
    this.rollups.finalise();
    for (const windower of this.#windowers) windower.finalise();
  }

  /** Bytes that a snapshot has of each of the windows that are no rollups, in the order of the configuration. */
  windowerBytes(scratch: StateWriter): number[] {
    return this.#windowers.map((windower) => {
      scratch.clear();
      windower.save(scratch);
      return scratch.length;
    });
  }

  save(to: StateWriter): void {
    to.text(this.site);
    to.text(this.device);
    to.double(this.lastSeenMs);
    to.double(this.#newestUs);
    this.clock.save(to);
    this.seen.save(to);
    this.rollups.save(to);
    for (const windower of this.#windowers) to.section(() => windower.save(to));
    this.rules.save(to);
  }

  /** Returns the device, and the open alerts whose rule is not there any more. */
  static load(from: StateReader, context: DeviceContext, saved: SavedWindows): { device: Device; orphans: Alert[] } {
    const device = new Device(from.text(), from.text(), context);
    device.lastSeenMs = from.double();
    device.#newestUs = from.double();
    device.clock.load(from);
    device.seen.load(from);
    device.rollups.load(from, saved.isKept, device.watermarkUs);
    for (const index of saved.windowers) {
      const section = from.section();
      device.#windowers[index]?.load(section);
    }
    return { device, orphans: device.rules.load(from) };
  }
}
