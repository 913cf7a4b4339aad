import type { StatementSync } from 'node:sqlite';
import type { Database } from './database.ts';
import { BATCH_BYTES, endOfRecord, isTombstoneAt, keyBytesAt } from './packing.ts';
import type { AppendArgs, AppendRun } from './protocol.ts';

/** Records of one partition that one transaction has taken and not yet written. */
interface OpenBatch {
  chunks: Uint8Array[];
  bytes: number;
  count: number;
  newestMs: number;
}

/** Appends to the partitions. Runs of several appends within one transaction become one batch. */
export class BatchLog {
  readonly #open = new Map<number, OpenBatch>();
  readonly #advance: StatementSync;
  readonly #insert: StatementSync;

  constructor({ sqlite }: Database) {
    this.#advance = sqlite.prepare(
      'UPDATE partitions SET next_offset = next_offset + ?, bytes = bytes + ? WHERE id = ? RETURNING next_offset',
    );
    this.#insert = sqlite.prepare(
      `INSERT OR REPLACE INTO batches (partition_id, base_offset, end_offset, newest_ms, key, tombstone_ms, records)
       VALUES (?, ?, ?, ?, ?, ?, ?)`,
    );
  }

  append({ compact, bytes, runs, nowMs }: AppendArgs): void {
    for (const run of runs) {
      const records = bytes.subarray(run.start, run.end);
      if (compact) this.#replaceByKey(run, records, nowMs);
      else this.#add(run, records);
    }
  }

  /** Writes what the transaction has taken. Must come before its COMMIT. */
  flush(): void {
    for (const [partitionId, batch] of this.#open) this.#write(partitionId, batch);
    this.#open.clear();
  }

  /** Forgets what a transaction had taken that was rolled back. */
  discard(): void {
    this.#open.clear();
  }

  #add(run: AppendRun, records: Uint8Array): void {
    let batch = this.#open.get(run.partitionId);
    if (batch !== undefined && batch.bytes + records.length > BATCH_BYTES) {
      this.#write(run.partitionId, batch);
      batch = undefined;
    }
    if (batch === undefined) {
      batch = { chunks: [], bytes: 0, count: 0, newestMs: run.newestMs };
      this.#open.set(run.partitionId, batch);
    }
    batch.chunks.push(records);
    batch.bytes += records.length;
    batch.count += run.count;
    batch.newestMs = Math.max(batch.newestMs, run.newestMs);
  }

  #write(partitionId: number, { chunks, bytes, count, newestMs }: OpenBatch): void {
    const endOffset = this.#nextOffset(partitionId, count, bytes);
    const records = chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks, bytes);
    this.#insert.run(partitionId, endOffset - count, endOffset, newestMs, null, null, records);
  }

  /** On a compacted topic each record is a batch, and takes the place of the one that had its key. */
  #replaceByKey(run: AppendRun, records: Uint8Array, nowMs: number): void {
    const packed = Buffer.from(records.buffer, records.byteOffset, records.length);
    let offset = this.#nextOffset(run.partitionId, run.count, 0) - run.count;
    for (let at = 0; at < packed.length; offset++) {
      const end = endOfRecord(packed, at);
      const tombstoneMs = isTombstoneAt(packed, at) ? nowMs : null;
      const key = keyBytesAt(packed, at);
      const record = packed.subarray(at, end);
      this.#insert.run(run.partitionId, offset, offset + 1, run.newestMs, key, tombstoneMs, record);
      at = end;
    }
  }

  #nextOffset(partitionId: number, count: number, bytes: number): number {
    return (this.#advance.get(count, bytes, partitionId) as { next_offset: number }).next_offset;
  }
}
