import { DatabaseSync } from 'node:sqlite';

const version = 1;

/**
 * `points` is clustered by series and time: a range of one series is one stretch of the file. Ids are never used again
 * (AUTOINCREMENT), so that an id some process remembers of a series that is gone cannot come to mean another one.
 */
const definition = `
  CREATE TABLE series (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    key TEXT NOT NULL UNIQUE,
    bucket TEXT NOT NULL,
    measurement TEXT NOT NULL,
    tags TEXT NOT NULL
  ) STRICT;
  CREATE TABLE points (
    series_id INTEGER NOT NULL REFERENCES series (id),
    time_us INTEGER NOT NULL,
    k INTEGER NOT NULL,
    fields TEXT NOT NULL,
    PRIMARY KEY (series_id, time_us, k)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE newest (
    series_id INTEGER NOT NULL REFERENCES series (id),
    field TEXT NOT NULL,
    time_us INTEGER NOT NULL,
    k INTEGER NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (series_id, field)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE field_types (
    bucket TEXT NOT NULL,
    measurement TEXT NOT NULL,
    field TEXT NOT NULL,
    type TEXT NOT NULL,
    PRIMARY KEY (bucket, measurement, field)
  ) STRICT, WITHOUT ROWID;
  PRAGMA user_version = ${version};
`;

/** Opens the file, creating it with its tables when it is new. Throws when it is of another version. */
export function openDatabase(file: string): DatabaseSync {
  const database = new DatabaseSync(file, { timeout: 5000, enableForeignKeyConstraints: true });
  try {
    database.exec(`
      PRAGMA journal_mode = WAL;
      PRAGMA synchronous = FULL;
      PRAGMA journal_size_limit = 67108864;
    `);
    transaction(database, () => {
      const found = database.prepare('PRAGMA user_version').get()?.user_version;
      if (found === 0) database.exec(definition);
      else if (found !== version) {
        throw new Error(
          `${file} has schema version ${found}, this program knows ${version}: use the program that wrote it`,
        );
      }
    });
  } catch (error) {
    database.close();
    throw error;
  }
  return database;
}

/** Commits, with fsync, what `work` does, or undoes it and throws. */
export function transaction<Result>(database: DatabaseSync, work: () => Result): Result {
  database.exec('BEGIN IMMEDIATE');
  try {
    const result = work();
    database.exec('COMMIT');
    return result;
  } catch (error) {
    // Some errors, a full disk among them, have undone it already.
    if (database.isTransaction) database.exec('ROLLBACK');
    throw error;
  }
}
