/**
 * Tells on the device status topic which devices are here: `online` with the first message a connection sends for a
 * device, `offline` when that connection ends. Best effort and bounded; telemetry never waits for it.
 */
import type { Bus, NewRecord } from '../bus/port.ts';
import type { Clock } from '../core/clock.ts';
import { endsWithin } from '../core/deadline.ts';
import { messageOf } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';
import type { Route } from '../core/route.ts';
import type { Connection } from './connection/connection.ts';

/** Devices that are online at most, over all connections and of one; more are not told of. */
const maxDevices = 100_000;
const maxDevicesPerConnection = 10_000;
/** Changes that wait at most; at the bound the oldest is given up. */
const maxWaiting = 20_000;
const maxBatchRecords = 1000;
const everyMs = 200;

export type Speaker = Pick<Connection, 'clientId' | 'devices' | 'endReason'>;

export class Presence {
  readonly #bus: Bus;
  readonly #topic: string;
  readonly #clock: Clock;
  readonly #log: Logger;
  /** Newest change per device: one that comes and goes quickly is told once. */
  readonly #waiting = new Map<string, NewRecord>();
  /** Who spoke last for each device: one that moved to a new connection is not offline when the old one ends. */
  readonly #speakers = new Map<string, Speaker>();
  #appending: Promise<void> | null = null;
  #stop: () => void = () => {};

  constructor(bus: Bus, topic: string, clock: Clock, log: Logger) {
    this.#bus = bus;
    this.#topic = topic;
    this.#clock = clock;
    this.#log = log;
  }

  start(): void {
    this.#stop = this.#clock.every(everyMs, () => void this.#flush());
  }

  /** Tells what waits, as far as the bus takes it within `deadlineMs`. */
  async close(deadlineMs: number): Promise<void> {
    this.#stop();
    await endsWithin(this.#clock, deadlineMs, this.#flushAll());
  }

  /** A message of the device `key` came. */
  heard(key: string, { site, device }: Route, speaker: Speaker): void {
    const before = this.#speakers.get(key);
    if (before === speaker || speaker.devices.size >= maxDevicesPerConnection) return;
    if (before === undefined && this.#speakers.size >= maxDevices) return;
    before?.devices.delete(key);
    this.#speakers.set(key, speaker);
    speaker.devices.add(key);
    if (before === undefined) this.#tell(key, site, device, 'online', 'message', speaker.clientId);
  }

  /** A connection ended. */
  gone(speaker: Speaker): void {
    for (const key of speaker.devices) {
      this.#speakers.delete(key);
      const slash = key.indexOf('/');
      this.#tell(key, key.slice(0, slash), key.slice(slash + 1), 'offline', speaker.endReason, speaker.clientId);
    }
    speaker.devices.clear();
  }

  #tell(key: string, site: string, device: string, status: string, reason: string, clientId: string): void {
    const sinceMs = this.#clock.nowMs();
    const value = Buffer.from(JSON.stringify({ site, device, status, sinceMs, reason, clientId }));
    this.#waiting.delete(key);
    this.#waiting.set(key, { key, value, headers: {}, timestampMs: sinceMs });
    if (this.#waiting.size > maxWaiting) this.#waiting.delete(this.#waiting.keys().next().value!);
  }

  /** Until nothing waits, or the bus takes nothing. */
  async #flushAll(): Promise<void> {
    await this.#appending;
    for (let before = -1; this.#waiting.size > 0 && this.#waiting.size !== before; ) {
      before = this.#waiting.size;
      await this.#flush();
    }
  }

  /** One append at a time. */
  #flush(): Promise<void> {
    this.#appending ??= this.#append().finally(() => {
      this.#appending = null;
    });
    return this.#appending;
  }

  /** One batch; what the bus does not take now waits for the next time, unless it is overtaken by a newer change. */
  async #append(): Promise<void> {
    const records = [...this.#waiting.values().take(maxBatchRecords)];
    try {
      if (records.length > 0) await this.#bus.append(this.#topic, records);
      for (const record of records) if (this.#waiting.get(record.key) === record) this.#waiting.delete(record.key);
    } catch (error) {
      this.#log.debug({ error: messageOf(error) }, 'device status could not be told yet');
    }
  }
}
