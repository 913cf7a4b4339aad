/** What is known of one device: its time, what was seen of it, its windows, its rules. */
import type { Alert } from '../core/alert.ts';
import type { Reading } from '../core/reading.ts';
import type { Point, Series } from '../store/port.ts';
import type { StateReader, StateWriter } from './codec.ts';
import { SeenReadings } from './dedup.ts';
import type { ProcessingOptions } from './options.ts';
import { rawSeries } from './points.ts';
import { DeviceRules, type Raise } from './rules/device-rules.ts';
import type { Rule } from './rules/file.ts';
import { DeviceWindows, type Windowed, windowStartUs } from './window/windows.ts';

/** What all devices of a partition share. */
export interface DeviceContext {
  readonly options: ProcessingOptions;
  readonly rules: readonly Rule[];
  readonly emitRollup: (rollup: Point) => void;
  readonly raise: Raise;
}

export class Device {
  readonly site: string;
  readonly device: string;
  readonly series: Series;
  readonly seen = new SeenReadings();
  readonly windows: DeviceWindows;
  readonly rules: DeviceRules;
  /** Partition clock at its newest message: silence counts from here. */
  lastSeenMs = 0;
  readonly #outOfOrdernessUs: number;
  readonly #latenessUs: number;
  /** Newest event time: the watermark follows it, and nothing but the device's own readings moves it. */
  #newestUs = Number.NEGATIVE_INFINITY;

  constructor(site: string, device: string, { options, rules, emitRollup, raise }: DeviceContext) {
    this.site = site;
    this.device = device;
    this.series = rawSeries(site, device);
    this.windows = new DeviceWindows(site, device, emitRollup);
    this.rules = new DeviceRules(site, device, rules, raise);
    this.#outOfOrdernessUs = options.outOfOrdernessMs * 1000;
    this.#latenessUs = options.latenessMs * 1000;
  }

  get watermarkUs(): number {
    return this.#newestUs - this.#outOfOrdernessUs;
  }

  /** The window of such a reading can no longer be corrected, and its duplicates can no longer be told. */
  isLate(timeUs: number): boolean {
    return timeUs < this.seen.horizonUs;
  }

  /** Takes a reading that is neither late nor a duplicate: windows, rules, then the watermark, which closes windows. */
  count(reading: Reading): Windowed {
    const windowed = this.windows.add(reading, this.watermarkUs);
    this.rules.evaluate(reading);
    if (reading.timeUs > this.#newestUs) {
      this.#newestUs = reading.timeUs;
      this.seen.trim(windowStartUs(this.watermarkUs - this.#latenessUs));
      this.windows.advance(this.watermarkUs, this.seen.horizonUs);
    }
    return windowed;
  }

  save(to: StateWriter): void {
    to.text(this.site);
    to.text(this.device);
    to.double(this.lastSeenMs);
    to.double(this.#newestUs);
    this.seen.save(to);
    this.windows.save(to);
    this.rules.save(to);
  }

  /** Returns the device, and the open alerts whose rule is not there any more. */
  static load(from: StateReader, context: DeviceContext): { device: Device; orphans: Alert[] } {
    const device = new Device(from.text(), from.text(), context);
    device.lastSeenMs = from.double();
    device.#newestUs = from.double();
    device.seen.load(from);
    device.windows.load(from);
    return { device, orphans: device.rules.load(from) };
  }
}
