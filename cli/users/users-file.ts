/** The users file as `sluice users` changes it: line by line, all or nothing, one at a time. */
import { open, readFile, realpath, rm } from 'node:fs/promises';
import { messageOf, SluiceError } from '../../core/errors.ts';
import { isEntry, parseEntry, parseUsers, type UserEntry } from '../../gateway/identity/users.ts';
import { writeWhole } from './whole-file.ts';

/** Throws CONFIG_INVALID when the file is not as the gateway wants it; one that is not there has no entries. */
export async function readEntries(file: string): Promise<UserEntry[]> {
  return (await readLines(file)).filter(isEntry).map((line) => JSON.parse(line) as UserEntry);
}

/** Throws CONFIG_INVALID when there is such a user already, or an entry is not as the gateway wants it. */
export async function addEntries(file: string, entries: readonly UserEntry[]): Promise<void> {
  await change(file, (lines) => {
    const there = new Set(lines.map(userOf));
    const twice = entries.find(({ user }) => there.has(user));
    if (twice !== undefined) {
      throw invalid(
        `there is a user ${twice.user} in ${file} already: \`passwd\` changes its password, \`remove\` removes it`,
      );
    }
    return [...lines, ...entries.map(toLine)];
  });
}

/** Those that are there already are replaced. */
export async function putEntries(file: string, entries: readonly UserEntry[]): Promise<void> {
  const users = new Set<string | null>(entries.map(({ user }) => user));
  await change(file, (lines) => [...lines.filter((line) => !users.has(userOf(line))), ...entries.map(toLine)]);
}

/** `null` removes it. Throws CONFIG_INVALID when there is no such user. */
export async function changeEntry(
  file: string,
  user: string,
  changed: (entry: UserEntry) => UserEntry | null,
): Promise<void> {
  await change(file, (lines) => {
    const at = lines.findIndex((line) => userOf(line) === user);
    if (at === -1) throw invalid(`there is no user ${user} in ${file}: \`list\` lists those there are`);
    const entry = changed(JSON.parse(lines[at]!) as UserEntry);
    return entry === null ? lines.toSpliced(at, 1) : lines.with(at, toLine(entry));
  });
}

/** Refused before it is in the file: the gateway would refuse the file. */
function toLine(entry: UserEntry): string {
  try {
    parseEntry(entry);
  } catch (error) {
    throw invalid(`the user ${entry.user} cannot be: ${messageOf(error)}`);
  }
  return JSON.stringify(entry);
}

function userOf(line: string): string | null {
  return isEntry(line) ? (JSON.parse(line) as UserEntry).user : null;
}

async function change(file: string, changed: (lines: string[]) => string[]): Promise<void> {
  // Also through a link: it is what it points to that changes.
  const target = await realpath(file).catch(() => file);
  const lock = `${target}.lock`;
  try {
    await (await open(lock, 'wx')).close();
  } catch (error) {
    const hint = `if no other \`sluice users\` is running, remove ${lock}`;
    throw invalid(`${file} cannot be changed now (${messageOf(error)}): ${hint}`);
  }
  try {
    const lines = changed(await readLines(target));
    await writeWhole(target, lines.length === 0 ? '' : `${lines.join('\n')}\n`);
  } finally {
    await rm(lock, { force: true });
  }
}

async function readLines(file: string): Promise<string[]> {
  try {
    const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return '';
      throw error;
    });
    await parseUsers(text);
    return text === '' ? [] : text.replace(/\n$/, '').split('\n');
  } catch (error) {
    throw invalid(`${file} cannot be used: ${messageOf(error)}`);
  }
}

function invalid(message: string): SluiceError {
  return new SluiceError('CONFIG_INVALID', message);
}
