import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { messageOf, SluiceError } from '../../core/errors.ts';

const SCHEMA_VERSION = 1;

/** The primary result codes of SQLite that we treat by name. */
export const SQLITE_BUSY = 5;
const SQLITE_FULL = 13;

/**
 * A batch is a run of packed records of one partition. On a compacted topic a batch is one record, and `key` makes the
 * newest replace the one before. `next_offset` outlives the records: an offset is never used twice.
 */
const schema = `
  CREATE TABLE topics (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    cleanup TEXT NOT NULL,
    retention_ms INTEGER,
    retention_bytes INTEGER,
    max_message_bytes INTEGER NOT NULL
  ) STRICT;

  CREATE TABLE partitions (
    id INTEGER PRIMARY KEY,
    topic_id INTEGER NOT NULL REFERENCES topics,
    partition INTEGER NOT NULL,
    next_offset INTEGER NOT NULL DEFAULT 0,
    bytes INTEGER NOT NULL DEFAULT 0,
    UNIQUE (topic_id, partition)
  ) STRICT;

  CREATE TABLE batches (
    id INTEGER PRIMARY KEY,
    partition_id INTEGER NOT NULL REFERENCES partitions,
    base_offset INTEGER NOT NULL,
    end_offset INTEGER NOT NULL,
    newest_ms REAL NOT NULL,
    key BLOB,
    tombstone_ms REAL,
    records BLOB NOT NULL
  ) STRICT;
  CREATE UNIQUE INDEX batches_by_offset ON batches (partition_id, base_offset);
  CREATE UNIQUE INDEX batches_by_key ON batches (partition_id, key) WHERE key IS NOT NULL;
  CREATE INDEX batches_tombstones ON batches (tombstone_ms) WHERE tombstone_ms IS NOT NULL;

  CREATE TABLE groups (
    id INTEGER PRIMARY KEY,
    topic_id INTEGER NOT NULL REFERENCES topics,
    name TEXT NOT NULL,
    UNIQUE (topic_id, name)
  ) STRICT;

  CREATE TABLE members (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    group_id INTEGER NOT NULL REFERENCES groups,
    expires_ms REAL NOT NULL
  ) STRICT;

  CREATE TABLE leases (
    group_id INTEGER NOT NULL REFERENCES groups,
    partition_id INTEGER NOT NULL REFERENCES partitions,
    member_id INTEGER,
    epoch INTEGER NOT NULL DEFAULT 0,
    committed_offset INTEGER,
    metadata TEXT,
    PRIMARY KEY (group_id, partition_id)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE health (id INTEGER PRIMARY KEY CHECK (id = 1), pinged_ms REAL NOT NULL) STRICT;
  INSERT INTO health VALUES (1, 0);
`;

/** One connection to the bus file, of one thread. */
export class Database {
  readonly sqlite: DatabaseSync;
  readonly #file: string;
  readonly #lockTimeoutMs: number;

  /** Opens the file, and makes it first if need be. */
  constructor(file: string, lockTimeoutMs: number) {
    this.#file = file;
    this.#lockTimeoutMs = lockTimeoutMs;
    mkdirSync(dirname(file), { recursive: true });
    this.sqlite = new DatabaseSync(file, { timeout: lockTimeoutMs });
    try {
      this.sqlite.exec('PRAGMA journal_mode = WAL');
      this.sqlite.exec('PRAGMA synchronous = FULL');
      // A WAL that a slow checkpoint let grow gives its space back.
      this.sqlite.exec(`PRAGMA journal_size_limit = ${64 * 1024 * 1024}`);
      this.transaction(() => this.#migrate());
    } catch (error) {
      this.sqlite.close();
      throw error;
    }
  }

  /**
   * Runs `work` in a transaction that has the write lock from its start; returns after COMMIT, so after fsync. SQLite
   * knows no queue for its lock and backs off to 100 ms, so we ask for it twice a millisecond ourselves.
   */
  transaction<T>(work: () => T): T {
    this.#lock();
    try {
      const result = work();
      this.sqlite.exec('COMMIT');
      return result;
    } catch (error) {
      // A full disk or an I/O error may have rolled back already.
      if (this.sqlite.isTransaction) this.sqlite.exec('ROLLBACK');
      throw error;
    }
  }

  /** Runs `work` on one unchanging state of the file. */
  snapshot<T>(work: () => T): T {
    this.sqlite.exec('BEGIN');
    try {
      return work();
    } finally {
      this.sqlite.exec('COMMIT');
    }
  }

  close(): void {
    this.sqlite.close();
  }

  #lock(): void {
    const deadline = performance.now() + this.#lockTimeoutMs;
    this.sqlite.exec('PRAGMA busy_timeout = 0');
    try {
      for (;;) {
        try {
          this.sqlite.exec('BEGIN IMMEDIATE');
          return;
        } catch (error) {
          if (primaryCode(error) !== SQLITE_BUSY || performance.now() > deadline) throw error;
          Atomics.wait(sleeper, 0, 0, 0.5);
        }
      }
    } finally {
      this.sqlite.exec(`PRAGMA busy_timeout = ${this.#lockTimeoutMs}`);
    }
  }

  #migrate(): void {
    const { user_version: version } = this.sqlite.prepare('PRAGMA user_version').get() as { user_version: number };
    if (version > SCHEMA_VERSION) {
      throw new SluiceError(
        'CONFIG_INVALID',
        `${this.#file} was written by a newer Sluice (schema ${version}, this one knows ${SCHEMA_VERSION}): ` +
          'install that version again, or give another data directory (SLUICE_DATA_DIR)',
      );
    }
    if (version === SCHEMA_VERSION) return;
    this.sqlite.exec(schema);
    this.sqlite.exec(`PRAGMA user_version = ${SCHEMA_VERSION}`);
  }
}

const sleeper = new Int32Array(new SharedArrayBuffer(4));

/** What went wrong with the file, as the error that the caller of the bus gets. */
export function unavailable(file: string, error: unknown): SluiceError {
  if (error instanceof SluiceError) return error;
  const what = {
    [SQLITE_BUSY]: 'is locked by another process for too long',
    [SQLITE_FULL]: 'cannot grow because its disk is full: free some space',
  }[primaryCode(error)];
  return new SluiceError('BUS_UNAVAILABLE', `${file} ${what ?? `cannot be used: ${messageOf(error)}`}`, {
    cause: error,
  });
}

export function primaryCode(error: unknown): number {
  const code = error instanceof Error && 'errcode' in error ? error.errcode : 0;
  return typeof code === 'number' ? code & 0xff : 0;
}
