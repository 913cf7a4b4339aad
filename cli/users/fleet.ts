/** Users for a whole fleet: each device its own, named `site/device` as in a certificate, with a random password. */
import { readFile } from 'node:fs/promises';
import { messageOf, SluiceError } from '../../core/errors.ts';
import { hashPassword, randomPassword } from '../../gateway/identity/password.ts';
import type { UserEntry } from '../../gateway/identity/users.ts';
import { type DeviceCredentials, formatCredentials, parseCredentials } from '../credentials-file.ts';
import { writeWhole } from './whole-file.ts';

export interface Place {
  readonly site: string;
  readonly device: string;
}

export interface FleetFiles {
  /** What the gateway reads. */
  readonly users: string;
  /** For whoever sets up the devices. */
  readonly credentials: string;
}

/** More than Node has threads for it. */
const hashedTogether = 8;

export function nameOf({ site, device }: Place): string {
  return `${site}/${device}`;
}

/** Draws a password for each, keeps it, and then lets them in. `add` puts them into the users file. */
export async function giveUsers(
  places: readonly Place[],
  files: FleetFiles,
  add: (file: string, entries: readonly UserEntry[]) => Promise<void>,
): Promise<void> {
  if (places.length === 0) return;
  const drawn = drawCredentials(places);
  const entries = await entriesOf(drawn);
  // First: a password that is in the users file alone is lost.
  await keepCredentials(files.credentials, drawn);
  await add(files.users, entries);
}

function drawCredentials(places: readonly Place[]): DeviceCredentials[] {
  return places.map(({ site, device }) => ({
    site,
    device,
    user: nameOf({ site, device }),
    password: randomPassword(),
  }));
}

/** About 3 ms of a processor each; those of a machine share them. */
async function entriesOf(credentials: readonly DeviceCredentials[]): Promise<UserEntry[]> {
  const entries: UserEntry[] = [];
  const left = credentials.entries();
  const hashInTurn = async () => {
    for (const [i, { user, password, site, device }] of left) {
      entries[i] = { user, password: await hashPassword(password, 'random'), site, device };
    }
  };
  await Promise.all(Array.from({ length: hashedTogether }, hashInTurn));
  return entries;
}

/** By `site/device`; a file that is not there has none. Throws CONFIG_INVALID when it cannot be used. */
export async function readCredentials(file: string): Promise<Map<string, DeviceCredentials>> {
  try {
    return parseCredentials(await readFile(file, 'utf8'));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return new Map();
    throw new SluiceError('CONFIG_INVALID', `${file} cannot be used: ${messageOf(error)}`);
  }
}

/** Adds them to those in the file; of one device the newest are kept. */
async function keepCredentials(file: string, credentials: readonly DeviceCredentials[]): Promise<void> {
  const kept = await readCredentials(file);
  for (const one of credentials) kept.set(nameOf(one), one);
  await writeWhole(file, formatCredentials(kept.values()));
}
