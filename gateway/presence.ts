/**
 * Tells on the device status topic which devices are here: `online` with the first message a connection sends for a
 * device, `offline` when that connection ends. Best effort and bounded; telemetry never waits for it.
 */
import type { Bus, NewRecord } from '../bus/port.ts';
import type { Clock } from '../core/clock.ts';
import { messageOf } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';

/** At most so many changes wait; at the bound the oldest are given up and counted. */
const maxWaiting = 20_000;
const everyMs = 200;

export class Presence {
  readonly #bus: Bus;
  readonly #topic: string;
  readonly #clock: Clock;
  readonly #log: Logger;
  /** Newest change per key: a device that comes and goes quickly is told once. */
  #waiting = new Map<string, NewRecord>();
  /** Connections that speak for a key now: a device that moved to a new one is not offline when the old one ends. */
  readonly #owners = new Map<string, object>();
  #isAppending = false;
  #stop: () => void = () => {};
  /** Changes that were never told. */
  givenUp = 0;

  constructor(bus: Bus, topic: string, clock: Clock, log: Logger) {
    this.#bus = bus;
    this.#topic = topic;
    this.#clock = clock;
    this.#log = log;
  }

  start(): void {
    this.#stop = this.#clock.every(everyMs, () => void this.#append());
  }

  async close(): Promise<void> {
    this.#stop();
    await this.#append();
  }

  online(key: string, connection: object, clientId: string): void {
    this.#owners.set(key, connection);
    this.#tell(key, 'online', clientId, 'message');
  }

  offline(keys: Iterable<string>, connection: object, clientId: string, reason: string): void {
    for (const key of keys) {
      if (this.#owners.get(key) !== connection) continue;
      this.#owners.delete(key);
      this.#tell(key, 'offline', clientId, reason);
    }
  }

  #tell(key: string, status: 'online' | 'offline', clientId: string, reason: string): void {
    const timestampMs = this.#clock.nowMs();
    const slash = key.indexOf('/');
    const state = {
      site: key.slice(0, slash),
      device: key.slice(slash + 1),
      status,
      sinceMs: timestampMs,
      reason,
      clientId,
    };
    this.#waiting.delete(key);
    this.#waiting.set(key, { key, value: Buffer.from(JSON.stringify(state)), headers: {}, timestampMs });
    if (this.#waiting.size > maxWaiting) {
      this.#waiting.delete(this.#waiting.keys().next().value!);
      this.givenUp++;
    }
  }

  async #append(): Promise<void> {
    if (this.#isAppending || this.#waiting.size === 0) return;
    this.#isAppending = true;
    const records = [...this.#waiting.values()].slice(0, 1000);
    try {
      await this.#bus.append(this.#topic, records);
      for (const record of records) if (this.#waiting.get(record.key) === record) this.#waiting.delete(record.key);
    } catch (error) {
      this.#log.debug({ error: messageOf(error) }, 'device status could not be told; it will be');
    } finally {
      this.#isAppending = false;
    }
  }
}
