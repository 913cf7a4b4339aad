/**
 * What the HTTP interface answers: the one place where the server and the page agree. Times are milliseconds since the
 * epoch; counters only grow within a run, so whoever wants rates takes differences of two `Overview`s by their `atMs`.
 */
import type { Alert } from '../core/alert.ts';
import type { CommandEnd } from '../core/commands.ts';
import type { GatewayLedger, LedgerTotals } from '../core/ledger.ts';
import type { FieldValue } from '../core/reading.ts';
import type { CommandRefusedReason } from '../core/reasons.ts';
import type { PipelineStatus } from '../core/status.ts';

/** `GET /api/status`, and the `status` event once a second. */
export interface Overview {
  readonly version: string;
  readonly atMs: number;
  /** Of this process. */
  readonly uptimeMs: number;
  readonly bus: 'embedded' | 'kafka';
  readonly store: 'embedded' | 'influx';
  /** Of the processors behind the raw topic. */
  readonly lag: { readonly records: number; readonly seconds: number };
  readonly ledger: Ledger;
  /** Everything that says it is not ready, in words, of every process that is heard of. Empty = all is well. */
  readonly problems: readonly string[];
  /** Sums over every process heard of, also of those that ended: they never go back. */
  readonly totals: Totals;
  /** What each living process says of itself, as it is on the bus. */
  readonly roles: readonly PipelineStatus[];
}

export interface Ledger {
  /** Whether every equation holds. */
  readonly balanced: boolean;
  /** The equations that do not, in words. */
  readonly imbalances: readonly string[];
  /** Summed over the gateways heard of. */
  readonly gateway: GatewayLedger;
  /** Summed over all raw partitions. */
  readonly processor: LedgerTotals;
}

/** One number per stage of the strip. */
export interface Totals {
  readonly clients: number;
  readonly received: number;
  readonly appended: number;
  /** Raw records whose outputs are out, ticks included. */
  readonly processed: number;
  readonly stored: number;
  readonly rollups: number;
  readonly alerts: number;
  readonly deadLettered: number;
  readonly late: number;
  readonly duplicates: number;
}

/** `GET /api/devices`. */
export interface DeviceList {
  /** Newest first. */
  readonly devices: readonly Device[];
  /** Devices online, those that are left out among them. */
  readonly online: number;
  /** There are as many as there may be: those not heard of for longest are left out. */
  readonly truncated: boolean;
}

export interface Device {
  readonly site: string;
  readonly device: string;
  /** Event time of the newest reading; `null` for a device that connected and was not stored yet. */
  readonly lastSeenMs: number | null;
  readonly online: boolean;
  /** When it came or went, why (docs/gateway.md, "Presence"), and how it showed who it is; `null`: no gateway told of it. */
  readonly presence: Presence | null;
  /** By how much its clock is ahead, or, below 0, behind; `null` while it is right as far as is known. */
  readonly clockSkewMs: number | null;
  readonly fields: Readonly<Record<string, FieldValue>>;
}

export interface Presence {
  readonly sinceMs: number;
  readonly reason: string;
  readonly identity: string | null;
}

/**
 * `GET /api/history`. With `every`, a point is the rollup: its fields beside `timeMs`; with `name`, a window of the user, or
 * of `state_1m` one of the states of a minute, with `state`.
 */
export interface History {
  readonly points: readonly ({ readonly timeMs: number } & Readonly<Record<string, FieldValue>>)[];
}

/** `GET /api/alerts`: current states, newest `startsAt` first. */
export interface Alerts {
  readonly alerts: readonly Alert[];
}

/**
 * `GET /api/events`: server-sent events by name. At the connection: `status`, `devices` with all of them, later with those
 * that changed, and `alert` for each current state, oldest first. A client that is too slow is closed; `EventSource` connects again.
 */
export interface Events {
  readonly status: Overview;
  readonly devices: { readonly devices: readonly Device[] };
  readonly alert: Alert;
}

/**
 * `POST /api/devices/{site}/{device}/commands` answers 202 with it as soon as the bus has the command;
 * `GET …/commands/{id}` with what it is by now.
 */
export interface CommandState {
  readonly id: string;
  readonly site: string;
  readonly device: string;
  readonly state: 'pending' | CommandEnd;
  /** Why it was refused, else `null`. */
  readonly reason: CommandRefusedReason | null;
  readonly requestedAtMs: number;
  readonly expiresAtMs: number;
  /** When it ended; `null` while it is pending. */
  readonly atMs: number | null;
}

/** Any answer that is not 2xx. */
export interface Failure {
  readonly error: { readonly code: string; readonly message: string };
}
