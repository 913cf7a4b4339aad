/** `sluice users import`: a user for each device of a list, and their passwords for whoever sets the devices up. */
import { readFileSync } from 'node:fs';
import { text } from 'node:stream/consumers';
import { messageOf, SluiceError } from '../../core/errors.ts';
import { any, isName, isPlace } from '../../gateway/identity/identity.ts';
import { giveUsers, nameOf, type Place } from './fleet.ts';
import { addEntries, readEntries } from './users-file.ts';

export interface ImportFlags {
  readonly file: string;
  readonly out: string;
  readonly json?: boolean;
}

/** `list`: a file, or `-` for standard input. Devices that have a user are left alone, so a list that grew is given again. */
export async function importDevices(list: string, { file, out, json = false }: ImportFlags): Promise<void> {
  const places = parsePlaces(await read(list));
  const users = new Set((await readEntries(file)).map(({ user }) => user));
  const missing = places.filter((place) => !users.has(nameOf(place)));
  await giveUsers(missing, { users: file, credentials: out }, addEntries);
  const done = { added: missing.length, there: places.length - missing.length, file, out };
  if (json) console.log(JSON.stringify(done));
  else console.log(`added ${done.added}, there already ${done.there}; the passwords of those added: ${out}`);
}

/** One `site/device` a line; blank lines and those that begin with `#` are left alone. Throws CONFIG_INVALID. */
export function parsePlaces(content: string): Place[] {
  const places = new Map<string, Place>();
  const problems: string[] = [];
  for (const [i, line] of content.split('\n').entries()) {
    const name = line.trim();
    if (name === '' || name.startsWith('#')) continue;
    const [site, device, ...rest] = name.split('/');
    const isDevice = isOne(site) && isOne(device) && rest.length === 0 && isName(name);
    if (isDevice) places.set(name, { site, device });
    else problems.push(`line ${i + 1}: ${JSON.stringify(name)}`);
  }
  if (problems.length > 0) {
    const shown = problems.slice(0, 10).join('\n  ');
    throw invalid(
      `expected site/device in each line, of 128 characters at most; ${problems.length} are not:\n  ${shown}`,
    );
  }
  if (places.size === 0) throw invalid('there is no device in the list: expected site/device in each line');
  return [...places.values()];
}

/** Who speaks for many is added by name. */
function isOne(level: string | undefined): level is string {
  return isPlace(level) && level !== any;
}

async function read(list: string): Promise<string> {
  if (list === '-') return text(process.stdin);
  try {
    return readFileSync(list, 'utf8');
  } catch (error) {
    throw invalid(`the list of devices cannot be read: ${messageOf(error)}`);
  }
}

function invalid(message: string): SluiceError {
  return new SluiceError('CONFIG_INVALID', message);
}
