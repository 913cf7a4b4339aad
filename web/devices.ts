/** The devices with their newest values: what the store has, and who is online. */
import type { DevicePresence } from '../core/presence.ts';
import type { FieldValue } from '../core/reading.ts';
import type { SkewedDevice } from '../core/status.ts';
import type { NewestReading } from '../store/port.ts';
import type { Device, Presence } from './api.ts';

/** Devices known at most; above it, those not heard of for longest are left out. */
export const maxDevices = 2000;
/** As many as a gateway tells of. */
const maxOnline = 100_000;
/** Above it, it is forgotten of those that went longest ago when and why. */
const maxOffline = 100_000;

export class Devices {
  readonly #known = new Map<string, Omit<Device, 'online' | 'presence' | 'clockSkewMs'>>();
  readonly #online = new Map<string, Presence>();
  readonly #offline = new Map<string, Presence>();
  /** Of devices whose clock is off. */
  #skewsMs = new Map<string, number>();
  readonly #changed = new Set<string>();

  /** Adds what the store found. A query over a short time does not have every field: older values stay. */
  found(readings: readonly NewestReading[]): void {
    for (const { site, device, timeMs, fields } of readings) {
      const key = keyOf({ site, device });
      const before = this.#known.get(key);
      if (before?.lastSeenMs !== undefined && before.lastSeenMs !== null && before.lastSeenMs > timeMs) continue;
      if (before?.lastSeenMs === timeMs && holds(before.fields, fields)) continue;
      this.#known.set(key, { site, device, lastSeenMs: timeMs, fields: { ...before?.fields, ...fields } });
      this.#changed.add(key);
    }
    this.#dropOldest();
  }

  /** What counts of what gateways tell. */
  presence({ site, device, status, sinceMs, reason, identity }: DevicePresence): void {
    const key = keyOf({ site, device });
    this.#online.delete(key);
    this.#offline.delete(key);
    const [same, bound] = status === 'online' ? [this.#online, maxOnline] : [this.#offline, maxOffline];
    same.set(key, { sinceMs, reason, identity });
    if (same.size > bound) same.delete(same.keys().next().value!);
    if (!this.#known.has(key)) {
      if (status === 'offline' || this.#known.size >= maxDevices) return;
      this.#known.set(key, { site, device, lastSeenMs: null, fields: {} });
    }
    this.#changed.add(key);
  }

  /** The devices whose clock is off: all others are right. */
  skewed(devices: readonly SkewedDevice[]): void {
    const before = this.#skewsMs;
    this.#skewsMs = new Map(devices.map((each) => [keyOf(each), each.skewMs]));
    for (const [key, skewMs] of this.#skewsMs) if (before.get(key) !== skewMs) this.#changed.add(key);
    for (const key of before.keys()) if (!this.#skewsMs.has(key)) this.#changed.add(key);
  }

  /** There are as many as there may be. */
  get isFull(): boolean {
    return this.#known.size >= maxDevices;
  }

  /** Newest first; those without a reading last. */
  all(): Device[] {
    return [...this.#known.keys()].map((key) => this.#device(key)).sort(newestFirst);
  }

  /** Those that changed since the last call. */
  takeChanged(): Device[] {
    const changed = [...this.#changed].filter((key) => this.#known.has(key)).map((key) => this.#device(key));
    this.#changed.clear();
    return changed.sort(newestFirst);
  }

  #device(key: string): Device {
    const clockSkewMs = this.#skewsMs.get(key) ?? null;
    const presence = this.#online.get(key) ?? this.#offline.get(key) ?? null;
    return { ...this.#known.get(key)!, online: this.#online.has(key), presence, clockSkewMs };
  }

  #dropOldest(): void {
    if (this.#known.size <= maxDevices) return;
    const newest = this.all().slice(0, maxDevices);
    const kept = new Set(newest.map(keyOf));
    for (const key of this.#known.keys()) if (!kept.has(key)) this.#known.delete(key);
  }
}

function keyOf({ site, device }: { readonly site: string; readonly device: string }): string {
  return JSON.stringify([site, device]);
}

function newestFirst(a: Device, b: Device): number {
  return (b.lastSeenMs ?? 0) - (a.lastSeenMs ?? 0);
}

function holds(fields: Readonly<Record<string, FieldValue>>, some: Readonly<Record<string, FieldValue>>): boolean {
  return Object.entries(some).every(([name, value]) => fields[name] === value);
}
