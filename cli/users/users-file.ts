/** The users file as `sluice users` changes it: line by line, all or nothing, one at a time. */
import { open, readFile, realpath, rename, rm, stat } from 'node:fs/promises';
import { messageOf, SluiceError } from '../../core/errors.ts';
import { isEntry, parseEntry, parseUsers, type UserEntry } from '../../gateway/identity/users.ts';

const newFileMode = 0o600;

/** Throws CONFIG_INVALID when the file is not as the gateway wants it; one that is not there has no entries. */
export async function readEntries(file: string): Promise<UserEntry[]> {
  return (await readLines(file)).filter(isEntry).map((line) => JSON.parse(line) as UserEntry);
}

/** Throws CONFIG_INVALID when there is such a user, or the entry is not as the gateway wants it. */
export async function addEntry(file: string, entry: UserEntry): Promise<void> {
  await change(file, (lines) => {
    if (lines.some((line) => userOf(line) === entry.user)) {
      throw invalid(
        `there is a user ${entry.user} in ${file} already: \`passwd\` changes its password, \`remove\` removes it`,
      );
    }
    return [...lines, toLine(entry)];
  });
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

/** Whoever reads it sees what was there before, or all that is there now, also after a loss of power. */
async function writeWhole(target: string, text: string): Promise<void> {
  const draft = `${target}.new`;
  try {
    const mode = await stat(target).then(
      ({ mode }) => mode & 0o777,
      () => newFileMode,
    );
    await rm(draft, { force: true });
    const handle = await open(draft, 'wx', mode);
    try {
      await handle.writeFile(text);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(draft, target);
  } catch (error) {
    await rm(draft, { force: true });
    throw invalid(`${target} cannot be written: ${messageOf(error)}`);
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
