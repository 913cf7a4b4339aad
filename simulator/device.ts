/** One device without its connection: when it measures next, and what. The same seed and start give the same values. */
import type { Fields, FieldValue } from '../core/reading.ts';
import type { DeviceIdentity, Fleet } from './fleet.ts';
import { type Random, randomStream } from './random.ts';
import type { Samples } from './signals.ts';

/** What a sensor that works, with a clock that is right, has to say. */
export interface Measurement {
  readonly seq: number;
  /** Event time, whole milliseconds. Rises with every measurement of a device. */
  readonly timeMs: number;
  /** Since the start of the run in event time. */
  readonly elapsedMs: number;
  readonly fields: Fields;
}

/** What has something to say at its times. */
export interface MeasurementSource {
  /** Event time of the next measurement; `Infinity`: there is none yet. */
  readonly nextAtMs: number;
  next(): Measurement;
}

/** Times are event time. */
export interface DeviceSettings {
  readonly fleet: Fleet;
  readonly seed: number;
  /** Of the run. */
  readonly startMs: number;
  /** When the device's own schedule begins. */
  readonly firstMs: number;
}

export class Device implements MeasurementSource {
  readonly identity: DeviceIdentity;
  /** Event time of the next measurement; not a whole number. */
  nextAtMs: number;
  readonly #settings: DeviceSettings;
  readonly #samples: readonly (readonly [string, Samples])[];
  readonly #schedule: Random;
  #seq = 0;
  #lastMs = Number.NEGATIVE_INFINITY;

  constructor(identity: DeviceIdentity, settings: DeviceSettings) {
    const { fleet, seed } = settings;
    this.identity = identity;
    this.#settings = settings;
    this.#schedule = randomStream(seed, identity.device, 'schedule');
    this.#samples = Object.entries(fleet.profile(identity, seed)).map(([field, signal]) => [
      field,
      signal(randomStream(seed, identity.device, 'field', field)),
    ]);
    this.nextAtMs = this.#timeOf(0);
  }

  /** The measurement that is due, whether it can be sent or not, so that what comes after it does not depend on that. */
  next(): Measurement {
    const timeMs = Math.max(this.#lastMs + 1, Math.floor(this.nextAtMs));
    const elapsedMs = timeMs - this.#settings.startMs;
    const fields: Record<string, FieldValue> = {};
    const at = { timeMs, elapsedMs, values: fields };
    for (const [field, sample] of this.#samples) fields[field] = sample(at);
    const seq = this.#seq++;
    this.#lastMs = timeMs;
    this.nextAtMs = this.#timeOf(this.#seq);
    return { seq, timeMs, elapsedMs, fields };
  }

  /** Jitter is at most one interval and counts from an even pace, so the order stands and the rate is kept. */
  #timeOf(n: number): number {
    const { firstMs, fleet } = this.#settings;
    return firstMs + (n + fleet.jitter * this.#schedule()) * fleet.intervalMs;
  }
}
