/**
 * Ground truth: what a simulated fleet knows of every message it made, one JSON object a line. The simulator writes it,
 * `verify` holds it against the bus and the store; neither imports the other. Times are milliseconds since the epoch.
 */

import type { Fields } from './reading.ts';
import type { DeadLetterReason, RejectedReason } from './reasons.ts';

/** A reader refuses any other. */
export const truthVersion = 1;

/** The first line. */
export interface TruthRun {
  readonly kind: 'run';
  readonly truthVersion: typeof truthVersion;
  /** Of the program that wrote it. */
  readonly version: string;
  /** Unique per run. */
  readonly run: string;
  readonly scenario: string;
  readonly seed: number;
  readonly startedAtMs: number;
  readonly broker: string;
  readonly qos: 0 | 1 | 2;
}

/** One line per message, written when it is acknowledged, given up or the run ends: per device not always in order of `n`. */
export interface TruthMessage {
  readonly kind: 'message';
  readonly site: string;
  readonly device: string;
  /** Numbers the device's messages in the order in which they were first sent, from 0. */
  readonly n: number;
  readonly topic: string;
  /** SHA-256 of the payload, base64url: finds the message on the bus, whatever its bytes are. */
  readonly digest: string;
  /** What a decoder should make of it; `null` when nothing can be decoded, or it was not sent at all. */
  readonly reading: TruthReading | null;
  /** When it was to be sent; latency counts from here. */
  readonly intendedMs: number;
  /** When it was first handed to a connection; `null`: it never was. */
  readonly sentMs: number | null;
  /** PUBACK or PUBCOMP; `null`: it never came, or QoS 0. */
  readonly acknowledgedMs: number | null;
  /** How often it was sent on purpose, resends of an unacknowledged message not counted. */
  readonly copies: number;
  /** Labels of the faults that were put into it, such as `sensor.spike`. */
  readonly faults: readonly string[];
  readonly expect: Expectation;
}

export interface TruthReading {
  /** Event time as the payload says; `null`: the payload has no `ts`, the gateway's clock counts. */
  readonly timeMs: number | null;
  readonly seq: number | null;
  readonly fields: Fields;
}

/**
 * What should become of a message that was acknowledged. `stored` covers late readings too: whether one is late follows
 * from the order of the device's readings, and `verify` computes it.
 */
export type Expectation =
  | { readonly as: 'stored' }
  | { readonly as: 'dead_letter'; readonly reason: DeadLetterReason | RejectedReason | `refused_${string}` }
  /** The broker must not take it: wrong password, foreign topic, over the packet limit. */
  | { readonly as: 'refused_by_broker' }
  /** It was lost on purpose before it was sent. */
  | { readonly as: 'not_sent' };

export type TruthLine = TruthRun | TruthMessage;
