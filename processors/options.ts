/** Settings of the processor; milliseconds where the name says so. Defaults: `core/config.ts`. */
export interface ProcessingOptions {
  /** How far the watermark of a device stays behind its newest event time. */
  readonly outOfOrdernessMs: number;
  /** How long after the watermark has passed a window, its readings still correct it. */
  readonly latenessMs: number;
  /** A reading further ahead of its receive time is rejected. */
  readonly maxFutureMs: number;
  /** A device silent for so long has its open windows closed provisionally. */
  readonly idleAfterMs: number;
  /** A device silent for so long is finalised and forgotten. */
  readonly forgetAfterMs: number;
}

export interface ProcessorOptions extends ProcessingOptions {
  readonly snapshotEveryMs: number;
  readonly snapshotEveryRecords: number;
  /** A processor not heard of for so long loses its partitions. */
  readonly sessionTimeoutMs: number;
  /** The most records between two writes: bounds memory, and how long a partition keeps others waiting (5,000). */
  readonly maxBatchRecords?: number;
}
