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
  /** Numbers the device's messages in the order in which they were first sent, or given up, from 0. */
  readonly n: number;
  readonly topic: string;
  /** SHA-256 of the payload, base64url: finds the message on the bus, whatever its bytes are. */
  readonly digest: string;
  /** What a decoder should make of it, if it gets it; `null` when it can make nothing of it. */
  readonly reading: TruthReading | null;
  /** When it was to be sent, by the clock; latency counts from here. */
  readonly intendedMs: number;
  /** When it was first handed to a connection; `null`: it never was. */
  readonly sentMs: number | null;
  /** The first PUBACK or PUBCOMP; `null`: it never came, or QoS 0. */
  readonly acknowledgedMs: number | null;
  /** How often it was sent on purpose, resends of an unacknowledged message not counted. */
  readonly copies: number;
  /** Labels of the faults that were put into it, such as `sensor.spike` (`docs/faults.md`). */
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
 * What should become of a message that was acknowledged. `stored` covers what follows from the order and the times of a
 * device's readings: late ones, repeats (however often it was sent, its reading is there once), those too far in the future.
 * `verify` computes that, and the alerts that the rules in force must raise over the readings.
 */
export type Expectation =
  | { readonly as: 'stored' }
  | { readonly as: 'dead_letter'; readonly reason: DeadLetterReason | RejectedReason | `refused_${string}` }
  /** The broker must not take it: wrong password, foreign topic, over the packet limit. */
  | { readonly as: 'refused_by_broker' }
  /** It was lost on purpose before it was sent. */
  | { readonly as: 'not_sent' };

export type TruthLine = TruthRun | TruthMessage;
