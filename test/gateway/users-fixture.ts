/** A users file in a folder of its own, gone with the test that made it. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { hashPassword } from '../../gateway/identity/password.ts';
import type { UserEntry } from '../../gateway/identity/users.ts';

export interface UsersFile {
  readonly file: string;
  /** `password` as the user types it. */
  write(entries: readonly UserEntry[]): Promise<void>;
}

export async function usersFile(entries: readonly UserEntry[] = []): Promise<UsersFile> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-users-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const file = join(folder, 'users.ndjson');
  const write = async (all: readonly UserEntry[]) => {
    const lines = all.map(async ({ password, ...entry }) => ({
      ...entry,
      ...(password === undefined ? {} : { password: await hashPassword(password) }),
    }));
    await writeFile(file, (await Promise.all(lines)).map((line) => `${JSON.stringify(line)}\n`).join(''));
  };
  await write(entries);
  return { file, write };
}
