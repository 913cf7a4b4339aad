/** Settings of a simulated fleet. What `sluice simulate` can set, with the same defaults: `cli/simulate.ts`. */
import type { FaultSpec } from './faults/spec.ts';
import type { DeviceIdentity, Fleet } from './fleet.ts';
import type { Format } from './format.ts';

/** What a device shows in its CONNECT. */
export interface Credentials {
  readonly username: string;
  readonly password: string;
}

/** What a device shows in the handshake of TLS; PEM. */
export interface Certificate {
  readonly cert: Buffer;
  readonly key: Buffer;
}

/** One for all devices, or each its own; that of a device that has none throws CONFIG_INVALID. */
export type Shown<T> = T | ((device: DeviceIdentity) => T);

export interface Tls {
  /** PEM; `null`: the authorities that Node knows. */
  readonly ca: Buffer | null;
  /** `null`: none is shown. */
  readonly certificate: Shown<Certificate> | null;
  /** Takes any certificate of the broker. */
  readonly insecure: boolean;
}

/** What the broker publishes for a device that is lost. Topic and payload with {site} and {device}. */
export interface Will {
  readonly topic: string;
  readonly payload: string;
  readonly qos: 0 | 1 | 2;
  readonly retain: boolean;
}

export interface SimulatorOptions {
  /** `mqtt://host:port`, or `mqtts://` for TLS. */
  readonly broker: string;
  /** `null`: none are shown. */
  readonly credentials: Shown<Credentials> | null;
  /** `null`: the defaults of TLS, where `broker` is mqtts://. */
  readonly tls: Tls | null;
  /** Name of the scenario, for the truth and the report. */
  readonly scenario: string;
  readonly fleets: readonly Fleet[];
  readonly faults: readonly FaultSpec[];
  readonly format: Format;
  /** With {site} and {device}; of the client id also {run}, which differs in every run. */
  readonly topic: string;
  readonly clientId: string;
  readonly qos: 0 | 1 | 2;
  readonly seed: number;
  /** The run begins so far in the past, and passes it `speed` times as fast as the clock (`timeline.ts`). */
  readonly backfillMs: number;
  readonly speed: number;
  /** `false`: the broker keeps the session of a device between connections. */
  readonly clean: boolean;
  readonly will: Will | null;
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

/** All but which devices there are. */
export const defaultSimulatorOptions: Omit<SimulatorOptions, 'scenario' | 'fleets'> = {
  broker: 'mqtt://127.0.0.1:1883',
  credentials: null,
  tls: null,
  faults: [],
  format: 'json',
  topic: 'iot/{site}/{device}/telemetry',
  clientId: '{device}-{run}',
  qos: 1,
  seed: 1,
  backfillMs: 0,
  speed: Number.POSITIVE_INFINITY,
  clean: true,
  will: null,
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

/** Whether devices speak for themselves alone, so that the broker can refuse what is not theirs. */
export function hasOwnIdentities({ credentials, tls }: Pick<SimulatorOptions, 'credentials' | 'tls'>): boolean {
  return typeof credentials === 'function' || typeof tls?.certificate === 'function';
}
