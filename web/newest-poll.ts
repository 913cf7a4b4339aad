/**
 * Asks the store for the newest values, no more often than it can bear. Most questions are about the last seconds; what
 * a device with a clock far behind sends is found by a wide one, which may take a twentieth of the time. Either costs
 * InfluxDB about 0.2 to 0.5 ms of processor a device.
 */
import type { Clock } from '../core/clock.ts';
import type { NewestReading, Store } from '../store/port.ts';
import { maxDevices } from './devices.ts';
import { OnDemand } from './on-demand.ts';

const everyMs = 500;
/** How far a narrow question goes back behind the one before it: readings come late and out of order. */
const overlapMs = 10_000;
/** How far a wide question goes back: a device silent for longer is not shown. */
export const lookBackMs = 7 * 86_400_000;
const wideShare = 20;

export class NewestPoll {
  readonly #store: Pick<Store, 'newest'>;
  readonly #clock: Clock;
  readonly #found: (readings: readonly NewestReading[]) => void;
  readonly #poll: OnDemand;
  #askedAtMs = 0;
  #wideAgainAtMs = 0;

  constructor(store: Pick<Store, 'newest'>, clock: Clock, found: (readings: readonly NewestReading[]) => void) {
    this.#store = store;
    this.#clock = clock;
    this.#found = found;
    this.#poll = new OnDemand(clock, everyMs, () => this.#ask());
  }

  /** Resolves when what is known is at most half a second old, or twice what the last question took. */
  run(): Promise<void> {
    return this.#poll.run();
  }

  async #ask(): Promise<void> {
    const nowMs = this.#clock.nowMs();
    const isWide = nowMs >= this.#wideAgainAtMs;
    const sinceMs = isWide ? nowMs - lookBackMs : this.#askedAtMs - overlapMs;
    const readings = await this.#store.newest(sinceMs, maxDevices);
    if (isWide) {
      const endMs = this.#clock.nowMs();
      this.#wideAgainAtMs = endMs + wideShare * (endMs - nowMs);
    }
    this.#askedAtMs = nowMs;
    this.#found(readings);
  }
}
