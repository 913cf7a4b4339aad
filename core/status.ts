/**
 * What every role says of itself each second on the pipeline status topic (key `role/instance`): all that a page or
 * an operator's tool in another process knows of it. Counters only grow within a run; who wants rates takes differences.
 */
import type { CommandEnd } from './commands.ts';
import type { ByReason, GatewayLedger, PartitionLedger } from './ledger.ts';
import type { ClosedReason, UntoldReason } from './reasons.ts';

export interface RoleStatus {
  readonly role: 'gateway' | 'processor' | 'web';
  /** Unique per run. */
  readonly instance: string;
  readonly version: string;
  readonly startedAtMs: number;
  /** When this was written. A status older than a few seconds is of a process that is gone. */
  readonly atMs: number;
  readonly ready: boolean;
  /** What is wrong, in words, when not ready. */
  readonly problems: readonly string[];
}

export interface GatewayStatus extends RoleStatus {
  readonly role: 'gateway';
  /** What someone should look at, in words, though the gateway does its work. */
  readonly warnings: readonly string[];
  /** TCP connections, also of those that are not accepted yet. */
  readonly connections: number;
  /** Of them: accepted clients. */
  readonly clients: number;
  /** Where devices connect; `null` before it listens. */
  readonly mqtt: { readonly host: string; readonly port: number } | null;
  /** The same over TLS, and when the certificate ends, ms since the epoch; `null`: not over TLS. */
  readonly tls: { readonly host: string; readonly port: number; readonly certificateEndsMs: number } | null;
  /** Who shows no user name is let in. */
  readonly anonymous: boolean;
  readonly ledger: GatewayLedger;
  /** Payload bytes of the messages that the ledger says are held. */
  readonly heldBytes: number;
  /** Read from clients and not yet taken. */
  readonly readAheadBytes: number;
  /** How often a client had to wait because a cap on held messages was reached. */
  readonly throttled: number;
  /** How often a client was not read for a while because it had sent more than it may in that time. */
  readonly slowed: number;
  /** Connections that had to wait for their turn: more came than the connect rate. */
  readonly connectsDelayed: number;
  /** Logins with a wrong password, and those that had to wait because others from their address had failed. */
  readonly loginsFailed: number;
  readonly loginsDelayed: number;
  /** Connections that the gateway refused or ended. */
  readonly closed: ByReason<ClosedReason>;
  /** Milliseconds from taking a message to its acknowledgement, over the last seconds; `null` before the first. */
  readonly ackMs: { readonly p50: number; readonly p99: number } | null;
  /** `null` without one. */
  readonly spool: SpoolStatus | null;
  readonly presence: PresenceStatus;
  readonly commands: CommandsStatus;
}

/** What is said to devices. Counters are of this run. */
export interface CommandsStatus {
  /** Commands without their end, in the partitions that this gateway decides. */
  readonly pending: number;
  /** Ends that it published. */
  readonly ended: ByReason<CommandEnd>;
  /** PUBLISH packets to devices, repetitions too. */
  readonly sent: number;
  /** Dead letters that devices were told of and acknowledged. */
  readonly errorsTold: number;
  readonly errorsUntold: ByReason<UntoldReason>;
}

/** What is told of devices that come and go. Counters are of this run. */
export interface PresenceStatus {
  /** Devices online at this gateway. */
  readonly devices: number;
  /** Changes that were not told yet. */
  readonly waiting: number;
  /** Changes that were never told: too many waited, or the bus refused them. */
  readonly givenUp: number;
  /** Devices of gateways that were gone, told offline by this one. */
  readonly lost: number;
}

/** Messages that wait for the bus on the disk of a gateway. */
export interface SpoolStatus {
  readonly records: number;
  /** About what they take; it takes no more than `maxBytes`. */
  readonly bytes: number;
  readonly maxBytes: number;
  /** About when the oldest came, ms since the epoch; `null` when it is empty. */
  readonly oldestMs: number | null;
  /** Messages that went in and out since the start of this run. */
  readonly spooled: number;
  readonly drained: number;
}

export interface PartitionStatus {
  /** Offset after the last record whose outputs are out. */
  readonly position: number;
  /** Offset after the newest record of the partition. */
  readonly endOffset: number;
  /** Partition clock, ms: the largest timestamp seen. */
  readonly clockMs: number;
  readonly ledger: PartitionLedger;
}

/** A device whose clock is off by more than `processing.maxSkewMs`: ahead, or, below 0, behind. */
export interface SkewedDevice {
  readonly site: string;
  readonly device: string;
  readonly skewMs: number;
}

export interface ProcessorStatus extends RoleStatus {
  readonly role: 'processor';
  /** By partition number. */
  readonly partitions: Readonly<Record<string, PartitionStatus>>;
  /** Since the start of this run. */
  readonly pointsWritten: number;
  readonly rollupsWritten: number;
  readonly alertsRaised: number;
  /** Devices with state in this process. */
  readonly devices: number;
  /** Those whose clock is off: how many, and the hundred that are off the most. */
  readonly skewed: { readonly count: number; readonly worst: readonly SkewedDevice[] };
}

export type PipelineStatus = GatewayStatus | ProcessorStatus | (RoleStatus & { readonly role: 'web' });
