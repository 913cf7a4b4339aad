/** One device without its connection: when it sends next, and what. The same seed and start give the same bytes. */
import type { Fields, FieldValue } from '../core/reading.ts';
import type { DeviceIdentity, Profile } from './fleet.ts';
import { type Random, randomStream } from './random.ts';
import type { Samples } from './signals.ts';

export interface Message {
  readonly seq: number;
  /** When it was to be sent, whatever held it up: also the `ts` in the payload. Rises with every message of a device. */
  readonly timeMs: number;
  readonly fields: Fields;
  readonly payload: string;
}

export interface DeviceSettings {
  readonly profile: Profile;
  readonly seed: number;
  readonly intervalMs: number;
  readonly jitter: number;
  /** Of the run. */
  readonly startMs: number;
  /** When the device's own schedule begins. */
  readonly firstMs: number;
}

export class Device {
  readonly identity: DeviceIdentity;
  /** When the next message is to be sent; not a whole number. */
  nextAtMs: number;
  readonly #settings: DeviceSettings;
  readonly #samples: readonly (readonly [string, Samples])[];
  readonly #schedule: Random;
  #seq = 0;
  #lastMs = Number.NEGATIVE_INFINITY;

  constructor(identity: DeviceIdentity, settings: DeviceSettings) {
    const { profile, seed } = settings;
    this.identity = identity;
    this.#settings = settings;
    this.#schedule = randomStream(seed, identity.device, 'schedule');
    this.#samples = Object.entries(profile(identity, seed)).map(([field, signal]) => [
      field,
      signal(randomStream(seed, identity.device, 'field', field)),
    ]);
    this.nextAtMs = this.#timeOf(0);
  }

  /** The message that is due, whether it can be sent or not, so that what comes after it does not depend on that. */
  next(): Message {
    const timeMs = Math.max(this.#lastMs + 1, Math.floor(this.nextAtMs));
    const at = { timeMs, elapsedMs: timeMs - this.#settings.startMs };
    const fields: Record<string, FieldValue> = {};
    for (const [field, sample] of this.#samples) fields[field] = sample(at);
    const seq = this.#seq++;
    this.#lastMs = timeMs;
    this.nextAtMs = this.#timeOf(this.#seq);
    return { seq, timeMs, fields, payload: JSON.stringify({ ts: timeMs, seq, ...fields }) };
  }

  /** Jitter is at most one interval and counts from an even pace, so the order stands and the rate is kept. */
  #timeOf(n: number): number {
    const { firstMs, intervalMs, jitter } = this.#settings;
    return firstMs + (n + jitter * this.#schedule()) * intervalMs;
  }
}
