/**
 * How far the clock of a device is off, told from its readings alone. A message takes some time and never less than none:
 * so its clock is ahead of ours by at least as much as any of its readings is ahead of its receipt, and the largest of
 * these offsets, of the message that came fastest, is the estimate. Of many readings that all come as much too late the
 * clock is behind, or the way takes so long each time: from here the two look the same.
 */
import type { SkewedDevice } from '../core/status.ts';
import type { StateReader, StateWriter } from './codec.ts';

/** A verdict needs as many readings and as much time: two spans of it where the clock is behind. */
const spanReadings = 20;
const spanMs = 300_000;

const none = Number.NEGATIVE_INFINITY;

export class DeviceClock {
  /** Milliseconds; 0 while the clock is off by no more than it may. Positive: it is ahead. */
  skewMs = 0;
  #spanSinceMs = 0;
  #readings = 0;
  /** Largest offset of this span, and of the one before. */
  #largestMs = none;
  #largestBeforeMs = none;

  /**
   * Takes a reading with a time of the device's own: `offsetMs` from its receipt, at `nowMs` of the partition clock. Returns
   * whether the clock went from right to wrong or back.
   */
  saw(offsetMs: number, nowMs: number, maxSkewMs: number): boolean {
    if (this.#readings === 0) this.#spanSinceMs = nowMs;
    this.#readings++;
    if (offsetMs > this.#largestMs) this.#largestMs = offsetMs;
    const isEnded = this.#readings >= spanReadings && nowMs - this.#spanSinceMs >= spanMs;
    if (!isEnded && offsetMs <= maxSkewMs) return false;
    const before = this.skewMs;
    if (offsetMs > maxSkewMs) this.skewMs = Math.max(this.#largestMs, this.#largestBeforeMs);
    if (isEnded) this.#endSpan(maxSkewMs);
    return Math.sign(before) !== Math.sign(this.skewMs);
  }

  #endSpan(maxSkewMs: number): void {
    const [largestMs, beforeMs] = [this.#largestMs, this.#largestBeforeMs];
    // What was kept during an outage comes late by less and less: no clock does that.
    const isSteady = Math.abs(largestMs - beforeMs) <= maxSkewMs;
    if (largestMs >= -maxSkewMs) this.skewMs = largestMs > maxSkewMs ? largestMs : 0;
    else if (isSteady) this.skewMs = largestMs;
    else if (this.skewMs > 0) this.skewMs = 0;
    this.#largestBeforeMs = largestMs;
    this.#largestMs = none;
    this.#readings = 0;
  }

  save(to: StateWriter): void {
    to.uint(this.#readings);
    for (const part of [this.skewMs, this.#spanSinceMs, this.#largestMs, this.#largestBeforeMs]) to.double(part);
  }

  load(from: StateReader): this {
    this.#readings = from.uint();
    this.skewMs = from.double();
    this.#spanSinceMs = from.double();
    this.#largestMs = from.double();
    this.#largestBeforeMs = from.double();
    return this;
  }
}

type Name = Pick<SkewedDevice, 'site' | 'device'>;

interface Stranger extends Name {
  readonly clock: DeviceClock;
  lastSeenMs: number;
}

/** At the bound the one that was silent for the longest goes. */
const maxStrangers = 1000;

/**
 * Which clocks of a partition are off. Devices have their own; here are those of strangers: none of their readings could
 * be counted, and their clock may be the reason.
 */
export class SkewedClocks {
  /** By record key, the one that was silent for the longest first. */
  readonly #strangers = new Map<string, Stranger>();
  readonly #off = new Map<string, Name & { readonly clock: DeviceClock }>();

  /** In no order. */
  list(): SkewedDevice[] {
    return [...this.#off.values()].map(({ site, device, clock }) => ({ site, device, skewMs: clock.skewMs }));
  }

  /** The clock went from right to wrong or back. */
  changed(key: string, { site, device }: Name, clock: DeviceClock): void {
    if (clock.skewMs === 0) this.#off.delete(key);
    else this.#off.set(key, { site, device, clock });
  }

  /** The clock of a device that is not known. */
  ofStranger(key: string, { site, device }: Name, nowMs: number): DeviceClock {
    const stranger = this.#strangers.get(key) ?? { site, device, clock: new DeviceClock(), lastSeenMs: nowMs };
    stranger.lastSeenMs = nowMs;
    this.#strangers.delete(key);
    if (this.#strangers.size >= maxStrangers) this.forget(this.#strangers.keys().next().value!);
    this.#strangers.set(key, stranger);
    return stranger.clock;
  }

  /** The clock of a device that is known from now on. */
  ofNewcomer(key: string): DeviceClock {
    const known = this.#strangers.get(key)?.clock;
    this.#strangers.delete(key);
    return known ?? new DeviceClock();
  }

  forget(key: string): void {
    this.#strangers.delete(key);
    this.#off.delete(key);
  }

  forgetSilentSince(timeMs: number): void {
    for (const [key, { lastSeenMs }] of this.#strangers) {
      if (lastSeenMs > timeMs) return;
      this.forget(key);
    }
  }

  /** Only strangers: devices save their own. */
  save(to: StateWriter): void {
    to.uint(this.#strangers.size);
    for (const [key, { site, device, clock, lastSeenMs }] of this.#strangers) {
      for (const text of [key, site, device]) to.text(text);
      to.double(lastSeenMs);
      clock.save(to);
    }
  }

  load(from: StateReader): void {
    for (let left = from.uint(); left > 0; left--) {
      const key = from.text();
      const name = { site: from.text(), device: from.text() };
      const lastSeenMs = from.double();
      const clock = new DeviceClock().load(from);
      this.#strangers.set(key, { ...name, lastSeenMs, clock });
      this.changed(key, name, clock);
    }
  }
}
