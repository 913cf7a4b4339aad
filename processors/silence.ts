/**
 * Which devices may be silent. To look at each of them every second of the partition clock would cost more than its
 * readings, in a large fleet that reports seldom: all are looked at only when one of them may have become silent.
 */
import type { Device } from './device.ts';

export class Silence {
  readonly #idleAfterMs: number;
  /** Those that were silent when all were looked at. */
  #quiet: readonly Device[] = [];
  /** No other one is silent before, on the partition clock. */
  #nextLookMs = Number.NEGATIVE_INFINITY;

  constructor(idleAfterMs: number) {
    this.#idleAfterMs = idleAfterMs;
  }

  /** The silent ones of all devices, in their order. */
  at(clockMs: number, devices: Iterable<Device>): readonly Device[] {
    if (clockMs >= this.#nextLookMs) return this.#lookAtAll(clockMs, devices);
    return this.#quiet.filter((device) => this.#isSilent(device, clockMs));
  }

  /** A device is not there any more. */
  forget(): void {
    this.#nextLookMs = Number.NEGATIVE_INFINITY;
  }

  #lookAtAll(clockMs: number, devices: Iterable<Device>): readonly Device[] {
    const quiet: Device[] = [];
    let oldestMs = clockMs;
    for (const device of devices) {
      if (this.#isSilent(device, clockMs)) quiet.push(device);
      else oldestMs = Math.min(oldestMs, device.lastSeenMs);
    }
    this.#quiet = quiet;
    this.#nextLookMs = oldestMs + this.#idleAfterMs;
    return quiet;
  }

  #isSilent({ lastSeenMs }: Device, clockMs: number): boolean {
    return clockMs - lastSeenMs >= this.#idleAfterMs;
  }
}
