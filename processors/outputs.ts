/** What the stages of one partition put out, in the order in which they did. The runner empties it after each batch. */
import type { BusRecord } from '../bus/port.ts';
import type { Alert } from '../core/alert.ts';
import type { Reading } from '../core/reading.ts';
import type { DeadLetterReason, RejectedReason } from '../core/reasons.ts';
import type { SkewedDevice } from '../core/status.ts';
import type { Point, RefusalReason } from '../store/port.ts';
import type { WindowRun } from './window/measurements.ts';

export interface DeadLetter {
  readonly source: BusRecord;
  /** `refused_`: by the store. */
  readonly reason: DeadLetterReason | RejectedReason | `refused_${RefusalReason}`;
  readonly error: string;
  /** Which reading of the message; `null` = the whole message. */
  readonly index: number | null;
}

export interface LateReading {
  readonly source: BusRecord;
  readonly reading: Reading;
  readonly index: number;
  /** How long after the last moment at which it would have counted, ms. */
  readonly lateByMs: number;
  /** Its minute. */
  readonly windowStartMs: number;
  readonly windowEndMs: number;
  /** All that it missed. */
  readonly windows: readonly WindowRun[];
}

/** An accepted reading and its raw point, so that a refusal of the point finds its message again. */
export interface RawPoint {
  readonly reading: Reading;
  readonly late: boolean;
  readonly point: Point;
  readonly source: BusRecord;
  readonly index: number;
}

export interface AlertTransition {
  readonly alert: Alert;
  /** Event time of the transition. */
  readonly timeUs: number;
  /** The record whose processing caused it. */
  readonly sourceTimestampMs: number;
}

export class Outputs {
  raw: RawPoint[] = [];
  rollups: Point[] = [];
  alerts: AlertTransition[] = [];
  late: LateReading[] = [];
  deadLetters: DeadLetter[] = [];
  /** Devices whose clock was found to be off. For the log alone. */
  skewed: SkewedDevice[] = [];
  /** Only kept for `sluice process`, which shows them; the pipeline counts them. */
  duplicates: Reading[] | null = null;

  clear(): void {
    this.raw = [];
    this.rollups = [];
    this.alerts = [];
    this.late = [];
    this.deadLetters = [];
    this.skewed = [];
    if (this.duplicates !== null) this.duplicates = [];
  }
}
