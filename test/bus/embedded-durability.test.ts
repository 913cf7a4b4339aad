import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Database } from '../../bus/embedded/database.ts';
import { temporaryFolder } from './embedded-fixture.ts';

test('every commit waits for the disk: WAL with an fsync each', async () => {
  const database = new Database(join(await temporaryFolder(), 'bus.db'), 1_000);
  // Only a power cut shows the difference, so what SQLite was told is looked at.
  const told = (pragma: string) => Object.values(database.sqlite.prepare(`PRAGMA ${pragma}`).get() ?? {})[0];
  expect(told('journal_mode')).toBe('wal');
  expect(told('synchronous')).toBe(2);
  database.close();
});
