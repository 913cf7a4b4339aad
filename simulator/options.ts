/** Settings of a simulated fleet. What `sluice simulate` can set, with the same defaults: `cli/simulate.ts`. */
import type { Profile } from './fleet.ts';
import { quickstart, quickstartSites } from './fleet.ts';

export interface SimulatorOptions {
  /** `mqtt://host:port`, or `mqtts://` for TLS. */
  readonly broker: string;
  readonly credentials: { readonly username: string; readonly password: string } | null;
  readonly devices: number;
  /** Devices are shared out among them in turn. */
  readonly sites: readonly string[];
  readonly profile: Profile;
  /** With {site} and {device}; of the client id also {run}, which differs in every run. */
  readonly topic: string;
  readonly clientId: string;
  readonly qos: 0 | 1 | 2;
  /** Between two messages of a device; at least 1. */
  readonly intervalMs: number;
  /** The part of the interval, 0 to 1, by which a message may be late. */
  readonly jitter: number;
  readonly seed: number;
  /** Connections opened per second. A device's messages begin when its turn comes. */
  readonly connectRate: number;
  readonly keepaliveSeconds: number;
  /** A CONNECT without answer for so long has failed. */
  readonly connectTimeoutMs: number;
  /** A device tries again after between half of it and all of it; doubled with each failure, up to the maximum. */
  readonly reconnectMs: number;
  readonly maxReconnectMs: number;
  /** Messages of one device that are sent and not acknowledged. */
  readonly maxInFlight: number;
  /** Messages that one device holds, in flight and waiting. What is to be sent beyond is skipped, and counted. */
  readonly maxHeld: number;
  /** Messages in all after which no more are made; `null` = no limit. */
  readonly limit: number | null;
  /** `null` = until it is stopped. */
  readonly durationMs: number | null;
  /** How long `stop` waits for outstanding acknowledgements. */
  readonly drainMs: number;
}

export const defaultSimulatorOptions: SimulatorOptions = {
  broker: 'mqtt://127.0.0.1:1883',
  credentials: null,
  devices: 12,
  sites: quickstartSites,
  profile: quickstart,
  topic: 'iot/{site}/{device}/telemetry',
  clientId: '{device}-{run}',
  qos: 1,
  intervalMs: 1000,
  jitter: 0.1,
  seed: 1,
  connectRate: 500,
  keepaliveSeconds: 60,
  connectTimeoutMs: 10_000,
  reconnectMs: 500,
  maxReconnectMs: 10_000,
  maxInFlight: 100,
  maxHeld: 1000,
  limit: null,
  durationMs: null,
  drainMs: 10_000,
};
