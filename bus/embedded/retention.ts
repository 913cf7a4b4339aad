/**
 * Deletes what a topic need not keep. SQLite uses the pages again, so the file grows to the largest amount ever kept and
 * no further. One slice is short, so that an append never waits long behind it.
 */
import type { StatementSync } from 'node:sqlite';
import type { Database } from './database.ts';

/** Leaves room for the commit within the 20 ms that a slice may take. */
const SLICE_MS = 10;
const TOMBSTONES_AT_ONCE = 100;

type PartitionRow = { id: number; bytes: number; retention_ms: number | null; retention_bytes: number | null };
type BatchRow = { id: number; newest_ms: number; end_offset: number; bytes: number };

export class Retention {
  readonly #partitions: StatementSync;
  readonly #oldest: StatementSync;
  readonly #delete: StatementSync;
  readonly #deleteBefore: StatementSync;
  readonly #subtract: StatementSync;
  readonly #deleteTombstones: StatementSync;

  constructor({ sqlite }: Database) {
    this.#partitions = sqlite.prepare(
      `SELECT partitions.id, bytes, retention_ms, retention_bytes FROM partitions JOIN topics ON topics.id = topic_id
       WHERE cleanup = 'delete' AND (retention_ms IS NOT NULL OR bytes > retention_bytes)`,
    );
    this.#oldest = sqlite.prepare(
      `SELECT id, newest_ms, end_offset, length(records) AS bytes FROM batches
       WHERE partition_id = ? ORDER BY base_offset LIMIT 1`,
    );
    this.#delete = sqlite.prepare('DELETE FROM batches WHERE id = ?');
    this.#deleteBefore = sqlite.prepare(
      `DELETE FROM batches WHERE partition_id = ?1 AND base_offset < ?2 AND end_offset <= ?2
       RETURNING length(records) AS bytes`,
    );
    this.#subtract = sqlite.prepare('UPDATE partitions SET bytes = bytes - ? WHERE id = ?');
    this.#deleteTombstones = sqlite.prepare(
      `DELETE FROM batches WHERE id IN (SELECT id FROM batches WHERE tombstone_ms <= ? LIMIT ${TOMBSTONES_AT_ONCE})`,
    );
  }

  /** One transaction's worth; `true` when there is more to delete. */
  slice(nowMs: number, tombstoneRetentionMs: number): boolean {
    const deadline = performance.now() + SLICE_MS;
    for (const partition of this.#partitions.all() as PartitionRow[]) {
      if (this.#trim(partition, nowMs, deadline)) return true;
    }
    return this.#deleteTombstones.run(nowMs - tombstoneRetentionMs).changes === TOMBSTONES_AT_ONCE;
  }

  /** Deletes the batches of a partition that end at `offset` or before. */
  trim(partitionId: number, offset: number): void {
    const deleted = this.#deleteBefore.all(partitionId, offset) as { bytes: number }[];
    const bytes = deleted.reduce((sum, batch) => sum + batch.bytes, 0);
    if (bytes > 0) this.#subtract.run(bytes, partitionId);
  }

  /** Deletes the oldest batches of a partition while they are too old or too much; `true` when time ran out. */
  #trim({ id, bytes, retention_ms, retention_bytes }: PartitionRow, nowMs: number, deadline: number): boolean {
    const expiredMs = retention_ms === null ? Number.NEGATIVE_INFINITY : nowMs - retention_ms;
    const limitBytes = retention_bytes ?? Number.POSITIVE_INFINITY;
    let deletedBytes = 0;
    let outOfTime = false;
    for (;;) {
      const oldest = this.#oldest.get(id) as BatchRow | undefined;
      if (oldest === undefined) break;
      if (oldest.newest_ms >= expiredMs && bytes - deletedBytes <= limitBytes) break;
      outOfTime = performance.now() >= deadline;
      if (outOfTime) break;
      this.#delete.run(oldest.id);
      deletedBytes += oldest.bytes;
    }
    if (deletedBytes > 0) this.#subtract.run(deletedBytes, id);
    return outOfTime;
  }
}
