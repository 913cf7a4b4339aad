/** What is known of one device: its time, what was seen of it, its open windows, its rules. */
import type { Reading } from '../core/reading.ts';
import { identityOf, SeenReadings, type SeenState } from './dedup.ts';
import type { ProcessingOptions } from './options.ts';
import { DeviceSeries } from './points.ts';
import { DeviceRules } from './rules/device-rules.ts';
import type { Rule } from './rules/file.ts';
import { TumblingWindows, type WindowState, windowUs } from './window/tumbling.ts';

/** `seq` without `ts`: the newest so many identities are remembered. */
const maxUntimed = 1024;

export interface DeviceSnapshot {
  readonly site: string;
  readonly device: string;
  readonly newestUs: number;
  readonly lastSeenMs: number;
  readonly seen: SeenState;
  readonly untimed: number[];
  readonly windows: WindowState[];
  readonly rules: ReturnType<DeviceRules['state']>;
}

export class Device {
  readonly site: string;
  readonly device: string;
  readonly series: DeviceSeries;
  readonly windows = new TumblingWindows();
  readonly rules: DeviceRules;
  /** Newest event time: the watermark follows it. */
  newestUs = Number.NEGATIVE_INFINITY;
  /** Receive time of the newest message: silence counts from here. */
  lastSeenMs = 0;
  readonly #seen = new SeenReadings();
  /** Identities of readings with a `seq` and no time, oldest first. */
  readonly #untimed = new Set<number>();

  constructor(site: string, device: string, rules: readonly Rule[]) {
    this.site = site;
    this.device = device;
    this.series = new DeviceSeries(site, device);
    this.rules = new DeviceRules({ site, device }, rules);
  }

  watermarkUs(options: ProcessingOptions): number {
    return this.newestUs - options.outOfOrdernessMs * 1000;
  }

  /** The `k` of a reading, or -1 for a duplicate; `offset` is its record's (design: `docs/delivery.md`, identity). */
  remember(reading: Reading, offset: number): number {
    const isUntimed = reading.clock === 'gateway';
    // Without `ts` and `seq` nothing tells a resend from a new reading: each message is one of its own.
    const identity = identityOf(isUntimed && reading.seq === null ? offset : reading.seq, reading.fields);
    if (isUntimed && reading.seq !== null) {
      if (this.#untimed.has(identity)) return -1;
      this.#untimed.add(identity);
      if (this.#untimed.size > maxUntimed) this.#untimed.delete(this.#untimed.values().next().value!);
    }
    if (reading.timeUs < this.#seen.horizonUs) return 0;
    return this.#seen.add(reading.timeUs, identity);
  }

  /** Whether a reading of this time can no longer be counted: judged once, before it moves the watermark. */
  isLate(timeUs: number, options: ProcessingOptions): boolean {
    const windowEndUs = Math.floor(timeUs / windowUs) * windowUs + windowUs;
    const closedUs = this.watermarkUs(options) - options.latenessMs * 1000;
    return windowEndUs <= closedUs || timeUs < this.#seen.horizonUs;
  }

  /** Moves the newest event time; identities of what can no longer be counted go. */
  moveOn(timeUs: number, options: ProcessingOptions): void {
    if (timeUs <= this.newestUs) return;
    this.newestUs = timeUs;
    this.#seen.trim(this.watermarkUs(options) - options.latenessMs * 1000 - windowUs);
  }

  snapshot(): DeviceSnapshot {
    return {
      site: this.site,
      device: this.device,
      newestUs: this.newestUs,
      lastSeenMs: this.lastSeenMs,
      seen: this.#seen.state(),
      untimed: [...this.#untimed],
      windows: this.windows.state(),
      rules: this.rules.state(),
    };
  }

  static restore(snapshot: DeviceSnapshot, rules: readonly Rule[]): Device {
    const device = new Device(snapshot.site, snapshot.device, rules);
    device.newestUs = snapshot.newestUs;
    device.lastSeenMs = snapshot.lastSeenMs;
    device.#seen.restore(snapshot.seen);
    for (const identity of snapshot.untimed) device.#untimed.add(identity);
    device.windows.restore(snapshot.windows);
    device.rules.restore(snapshot.rules);
    return device;
  }
}
