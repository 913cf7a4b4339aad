import type { StatementSync } from 'node:sqlite';
import type { TopicSpec } from '../../core/topics.ts';
import type { Database } from './database.ts';
import type { TopicInfo } from './protocol.ts';

type TopicRow = { id: number; cleanup: TopicSpec['cleanup']; max_message_bytes: number };

export class TopicTable {
  readonly #insert: StatementSync;
  readonly #insertPartition: StatementSync;
  readonly #topic: StatementSync;
  readonly #partitions: StatementSync;
  readonly #ends: StatementSync;

  constructor({ sqlite }: Database) {
    this.#insert = sqlite.prepare(
      `INSERT INTO topics (name, cleanup, retention_ms, retention_bytes, max_message_bytes)
       VALUES (?, ?, ?, ?, ?) RETURNING id`,
    );
    this.#insertPartition = sqlite.prepare('INSERT INTO partitions (topic_id, partition) VALUES (?, ?)');
    this.#topic = sqlite.prepare('SELECT id, cleanup, max_message_bytes FROM topics WHERE name = ?');
    this.#partitions = sqlite.prepare('SELECT id FROM partitions WHERE topic_id = ? ORDER BY partition');
    this.#ends = sqlite.prepare('SELECT next_offset FROM partitions WHERE topic_id = ? ORDER BY partition');
  }

  /** Creates what is missing, nothing at all when an existing topic differs in its partition count. */
  create(specs: readonly TopicSpec[]): { created: string[]; differing: { name: string; partitions: number }[] } {
    const existing = new Map(specs.map((spec) => [spec.name, this.find(spec.name)]));
    const differing = specs.flatMap(({ name, partitions }) => {
      const count = existing.get(name)?.partitionIds.length ?? partitions;
      return count === partitions ? [] : [{ name, partitions: count }];
    });
    if (differing.length > 0) return { created: [], differing };
    const missing = specs.filter(({ name }) => existing.get(name) === null);
    for (const spec of missing) this.#create(spec);
    return { created: missing.map(({ name }) => name), differing };
  }

  find(name: string): TopicInfo | null {
    const row = this.#topic.get(name) as TopicRow | undefined;
    if (row === undefined) return null;
    const partitions = this.#partitions.all(row.id) as { id: number }[];
    return {
      id: row.id,
      cleanup: row.cleanup,
      maxMessageBytes: row.max_message_bytes,
      partitionIds: partitions.map(({ id }) => id),
    };
  }

  /** The offset after the newest record, by partition number. */
  endOffsets(topicId: number): number[] {
    return (this.#ends.all(topicId) as { next_offset: number }[]).map((row) => row.next_offset);
  }

  #create({ name, cleanup, retentionMs, retentionBytes, maxMessageBytes, partitions }: TopicSpec): void {
    const { id } = this.#insert.get(name, cleanup, retentionMs, retentionBytes, maxMessageBytes) as { id: number };
    for (let partition = 0; partition < partitions; partition++) this.#insertPartition.run(id, partition);
  }
}
