/**
 * Silence is input: a raw partition to which nothing was appended for a while gets a tick, so that its clock goes on
 * and the processor can close windows of devices that say nothing. When no gateway runs, no time passes.
 */
import { headers } from '../core/topics.ts';
import { AckOrder } from './held.ts';
import type { Ingest } from './ingest.ts';

export class Ticks {
  readonly #ingest: Ingest;
  readonly #tickAfterMs: number;
  readonly #order = new AckOrder();
  /** When each partition was given its last tick: one that waits in a stalled lane is not followed by others. */
  readonly #lastTickMs: Float64Array;

  constructor(ingest: Ingest, tickAfterMs: number) {
    this.#ingest = ingest;
    this.#tickAfterMs = tickAfterMs;
    this.#lastTickMs = new Float64Array(ingest.lastAppendMs.length);
  }

  /** Appends what is due. Called several times within `tickAfterMs`. */
  append(nowMs: number): void {
    if (this.#order.messages > this.#lastTickMs.length) return;
    for (let partition = 0; partition < this.#lastTickMs.length; partition++) {
      const lastMs = Math.max(this.#ingest.lastAppendMs[partition]!, this.#lastTickMs[partition]!);
      if (nowMs - lastMs < this.#tickAfterMs) continue;
      this.#lastTickMs[partition] = nowMs;
      const record = { key: '', value: null, headers: { [headers.tick]: '1' }, timestampMs: nowMs, partition };
      this.#ingest.appendOwn(record, this.#order);
    }
  }
}
