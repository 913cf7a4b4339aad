/**
 * Silence is input: a raw partition to which nothing was appended for a while gets a tick, so that its clock goes on
 * and the processor can close windows of devices that say nothing. When no gateway runs, no time passes; nor does it
 * while messages of the partition wait in the spool, which happened before.
 */
import type { Ingest } from './ingest.ts';

export class Ticks {
  readonly #ingest: Ingest;
  readonly #tickAfterMs: number;
  /** A tick that waits in a stalled lane is not followed by others. */
  readonly #lastTickMs: Float64Array;

  constructor(ingest: Ingest, tickAfterMs: number) {
    this.#ingest = ingest;
    this.#tickAfterMs = tickAfterMs;
    this.#lastTickMs = new Float64Array(ingest.lastAppendMs.length);
  }

  /** Appends what is due. Called several times within `tickAfterMs`. */
  append(): void {
    const nowMs = this.#ingest.nowMs();
    for (const [partition, lastAppendMs] of this.#ingest.lastAppendMs.entries()) {
      const isWaiting = this.#lastTickMs[partition]! > lastAppendMs;
      if (isWaiting || nowMs - lastAppendMs < this.#tickAfterMs || this.#ingest.isSpooling(partition)) continue;
      this.#lastTickMs[partition] = nowMs;
      this.#ingest.tick(partition);
    }
  }
}
