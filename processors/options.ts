import type { WindowSpec } from '../core/windows-config.ts';
import type { RollupEvery } from '../store/port.ts';

/** Settings of the processor; milliseconds where the name says so. Defaults: `core/config.ts`. */
export interface ProcessingOptions {
  /** How far the watermark of a device stays behind its newest event time. */
  readonly outOfOrdernessMs: number;
  /** How long after the watermark has passed a window, its readings still correct it. */
  readonly latenessMs: number;
  /** A reading further ahead of its receive time is rejected. */
  readonly maxFutureMs: number;
  /** A device whose clock is off by more is reported. */
  readonly maxSkewMs: number;
  /** A device silent for so long has its open windows closed provisionally. */
  readonly idleAfterMs: number;
  /** A device silent for so long is finalised and forgotten. */
  readonly forgetAfterMs: number;
  /** Which of the levels 1m → 1h → 1d are written; those between are computed all the same. */
  readonly rollups: readonly RollupEvery[];
  /** IANA name: days are days there. */
  readonly timeZone: string;
  /** Whether booleans and strings have `state_1m`. */
  readonly states: boolean;
  /** Windows of the user, beside the levels (none). */
  readonly windows?: readonly WindowSpec[];
}

export interface ProcessorOptions extends ProcessingOptions {
  /** Whether accepted readings go to a topic of their own. */
  readonly readings: boolean;
  readonly snapshotEveryMs: number;
  readonly snapshotEveryRecords: number;
  /** A processor not heard of for so long loses its partitions. */
  readonly sessionTimeoutMs: number;
  /** The most records between two writes: bounds memory, and how long a partition keeps others waiting (5,000). */
  readonly maxBatchRecords?: number;
}
