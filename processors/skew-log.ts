/** One line for each device whose clock is found to be off, but for the crowd that a wrong clock of ours would make of them. */
import type { Clock } from '../core/clock.ts';
import type { Logger } from '../core/log.ts';
import type { SkewedDevice } from '../core/status.ts';

const linesPerMinute = 10;

export class SkewLog {
  readonly #log: Logger;
  readonly #clock: Clock;
  #minuteFromMs = Number.NEGATIVE_INFINITY;
  #lines = 0;
  #leftOut = 0;

  constructor(log: Logger, clock: Clock) {
    this.#log = log;
    this.#clock = clock;
  }

  found(devices: readonly SkewedDevice[]): void {
    const nowMs = this.#clock.nowMs();
    for (const { site, device, skewMs } of devices) {
      if (nowMs - this.#minuteFromMs >= 60_000) {
        this.#minuteFromMs = nowMs;
        this.#lines = 0;
      }
      if (this.#lines === linesPerMinute) {
        this.#leftOut++;
        continue;
      }
      this.#lines++;
      const fields = { site, device, skewMs: Math.round(skewMs), leftOut: this.#leftOut };
      this.#leftOut = 0;
      this.#log.warn(fields, 'the clock of a device is off');
    }
  }
}
