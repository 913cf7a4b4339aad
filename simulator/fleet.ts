/** Devices of one kind: how many, where, how often they speak and what each of them measures. */
import type { Signal } from './signals.ts';

export interface DeviceIdentity {
  readonly fleet: string;
  readonly site: string;
  readonly device: string;
  /** Number in its fleet, from 0. */
  readonly index: number;
}

/**
 * What a kind of device measures: field name → signal. May differ from device to device. A signal that follows another
 * field comes after it.
 */
export type Profile = (identity: DeviceIdentity, seed: number) => Readonly<Record<string, Signal>>;

export interface Fleet {
  readonly name: string;
  readonly count: number;
  /** With {n}, the number of the device from 1; unique among all fleets of a run. */
  readonly deviceName: string;
  /** Devices are shared out among them in turn. */
  readonly sites: readonly string[];
  /** Between two messages of a device; at least 1. */
  readonly intervalMs: number;
  /** The part of the interval, 0 to 1, by which a message may be late. */
  readonly jitter: number;
  readonly profile: Profile;
}

/** Numbers have the same width in a fleet, two digits at least, so that names sort. */
export function identities({ name, count, deviceName, sites }: Fleet): DeviceIdentity[] {
  const digits = Math.max(2, String(count).length);
  return Array.from({ length: count }, (_, index) => ({
    fleet: name,
    site: sites[index % sites.length]!,
    device: deviceName.replaceAll('{n}', String(index + 1).padStart(digits, '0')),
    index,
  }));
}
