import type { StatementSync } from 'node:sqlite';
import type { Committed, Kept } from '../port.ts';
import type { Database } from './database.ts';
import { startOfRecord, timestampMsAt } from './packing.ts';
import type { FetchArgs, Fetched } from './protocol.ts';

/** A fetch stops at so many bytes, but always gives one batch. */
const FETCH_BYTES = 1024 * 1024;

type BatchRow = { base_offset: number; end_offset: number; records: Uint8Array };
type PositionRow = { id: number; next_offset: number; committed_offset: number | null; metadata: string | null };

export class BatchReader {
  readonly #database: Database;
  readonly #batchesFrom: StatementSync;
  readonly #endOffset: StatementSync;
  readonly #endOffsets: StatementSync;
  readonly #positions: StatementSync;
  readonly #kept: StatementSync;
  readonly #offsetAt: StatementSync;

  constructor(database: Database) {
    this.#database = database;
    // The batch that holds the offset begins at or before it.
    this.#batchesFrom = database.sqlite.prepare(
      `SELECT base_offset, end_offset, records FROM batches
       WHERE partition_id = ?1 AND end_offset > ?2 AND base_offset >= coalesce(
         (SELECT max(base_offset) FROM batches WHERE partition_id = ?1 AND base_offset <= ?2), 0)
       ORDER BY base_offset`,
    );
    this.#endOffset = database.sqlite.prepare('SELECT next_offset FROM partitions WHERE id = ?');
    this.#endOffsets = database.sqlite.prepare('SELECT id, next_offset FROM partitions');
    this.#positions = database.sqlite.prepare(
      `SELECT partitions.id, next_offset, committed_offset, metadata FROM partitions
       LEFT JOIN groups ON groups.topic_id = partitions.topic_id AND groups.name = ?2
       LEFT JOIN leases ON leases.group_id = groups.id AND leases.partition_id = partitions.id
       WHERE partitions.topic_id = ?1 ORDER BY partition`,
    );
    this.#kept = database.sqlite.prepare(
      `SELECT bytes, next_offset AS endOffset, coalesce(
         (SELECT min(base_offset) FROM batches WHERE partition_id = partitions.id), next_offset) AS firstOffset
       FROM partitions WHERE topic_id = ? ORDER BY partition`,
    );
    this.#offsetAt = database.sqlite.prepare(
      `SELECT coalesce(
         (SELECT base_offset FROM batches WHERE partition_id = ?1 AND newest_ms >= ?2 ORDER BY base_offset LIMIT 1),
         (SELECT next_offset FROM partitions WHERE id = ?1)) AS found`,
    );
  }

  kept(topicId: number): Kept[] {
    return this.#kept.all(topicId) as unknown as Kept[];
  }

  /** The end is read in the same snapshot as the batches: what is not there was not there. */
  fetch({ partitionId, fromOffset, maxRecords }: FetchArgs): Fetched {
    return this.#database.snapshot(() => {
      const { next_offset: endOffset } = this.#endOffset.get(partitionId) as { next_offset: number };
      const rows: Uint8Array[] = [];
      const batches: { baseOffset: number; bytes: number }[] = [];
      let bytes = 0;
      let nextOffset = fromOffset;
      let full = false;
      if (fromOffset < endOffset) {
        for (const row of this.#batchesFrom.iterate(partitionId, fromOffset) as Iterable<BatchRow>) {
          full =
            batches.length > 0 && (nextOffset - fromOffset >= maxRecords || bytes + row.records.length > FETCH_BYTES);
          if (full) break;
          rows.push(row.records);
          batches.push({ baseOffset: row.base_offset, bytes: row.records.length });
          bytes += row.records.length;
          nextOffset = row.end_offset;
        }
        // Past the last record, though compaction or retention may have taken those before the end.
        if (!full) nextOffset = endOffset;
      }
      return { bytes: join(rows, bytes), batches, nextOffset, endOffset };
    });
  }

  /** By partition id, of all topics: one question for all who wait. */
  endOffsets(): Map<number, number> {
    const rows = this.#endOffsets.all() as { id: number; next_offset: number }[];
    return new Map(rows.map(({ id, next_offset }) => [id, next_offset]));
  }

  /** What a group has not committed: how many offsets, and the timestamp of the oldest record. */
  lag(topicId: number, group: string): { records: number; oldestMs: number | null } {
    return this.#database.snapshot(() => {
      let records = 0;
      let oldestMs: number | null = null;
      for (const row of this.#positions.all(topicId, group) as PositionRow[]) {
        const oldest = this.#oldestFrom(row.id, row.committed_offset ?? 0);
        if (oldest === null) continue;
        records += row.next_offset - oldest.offset;
        oldestMs = Math.min(oldestMs ?? Number.POSITIVE_INFINITY, oldest.timestampMs);
      }
      return { records, oldestMs };
    });
  }

  committed(topicId: number, group: string): (Committed | null)[] {
    const rows = this.#positions.all(topicId, group) as PositionRow[];
    return rows.map(({ committed_offset: offset, metadata }) =>
      offset === null ? null : { offset, metadata: metadata ?? '' },
    );
  }

  offsetAt(partitionId: number, timestampMs: number): number {
    return (this.#offsetAt.get(partitionId, timestampMs) as { found: number }).found;
  }

  #oldestFrom(partitionId: number, offset: number): { offset: number; timestampMs: number } | null {
    const row = this.#batchesFrom.get(partitionId, offset) as BatchRow | undefined;
    if (row === undefined) return null;
    const batch = Buffer.from(row.records.buffer, row.records.byteOffset, row.records.length);
    const index = Math.max(0, offset - row.base_offset);
    return { offset: row.base_offset + index, timestampMs: timestampMsAt(batch, startOfRecord(batch, index)) };
  }
}

function join(rows: readonly Uint8Array[], bytes: number): Uint8Array<ArrayBuffer> {
  const joined = new Uint8Array(bytes);
  let at = 0;
  for (const row of rows) {
    joined.set(row, at);
    at += row.length;
  }
  return joined;
}
