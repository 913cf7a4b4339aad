import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { primaryCode, SQLITE_BUSY } from './database.ts';

export interface Claim {
  readonly file: string;
  release(): void;
}

/**
 * The first of the files `fileOf(1)`, `fileOf(2)`, … that no other process has, kept from them until it is released. The
 * lock is the operating system's, on a file beside it: it ends with the process, however that ends.
 */
export function claimFirst(fileOf: (number: number) => string): Claim {
  for (let number = 1; ; number++) {
    const file = fileOf(number);
    const lock = lockOf(`${file}.lock`);
    if (lock !== null) return { file, release: () => lock.close() };
  }
}

/** `null`: another process has it. */
function lockOf(file: string): DatabaseSync | null {
  mkdirSync(dirname(file), { recursive: true });
  const lock = new DatabaseSync(file, { timeout: 0 });
  try {
    lock.exec('BEGIN EXCLUSIVE');
    return lock;
  } catch (error) {
    lock.close();
    if (primaryCode(error) === SQLITE_BUSY) return null;
    throw error;
  }
}
