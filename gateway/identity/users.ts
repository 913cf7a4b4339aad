/**
 * The users file: one JSON object a line, so that it can be read and written line by line; blank lines and those that
 * begin with `#` are left alone. `sluice users` writes it, an editor may.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { z } from 'zod';
import { type Identity, isName, isPlace } from './identity.ts';
import { type PasswordHash, parseHash } from './password.ts';
import { filterProblem } from './topic-filter.ts';

export interface User {
  readonly identity: Identity;
  /** `null`: it has none, and shows a certificate. */
  readonly password: PasswordHash | null;
}

export type Users = ReadonlyMap<string, User>;

/** One line of the file, as JSON. */
export interface UserEntry {
  readonly user: string;
  readonly password?: string | undefined;
  readonly site?: string | undefined;
  readonly device?: string | undefined;
  readonly publish?: readonly string[] | undefined;
  readonly subscribe?: readonly string[] | undefined;
}

const maxUsers = 200_000;
/** Lines that are parsed before messages have their turn again. */
const linesAtOnce = 500;
const maxFilters = 32;

const place = z.string().refine(isPlace, 'expected one level of a topic, or * for any');
const filters = z
  .array(
    z
      .string()
      .max(1024)
      .superRefine((filter, context) => {
        const problem = filterProblem(filter);
        if (problem !== null) context.addIssue(`${JSON.stringify(filter)} is no topic filter: ${problem}`);
      }),
  )
  .max(maxFilters);

const entrySchema = z
  .strictObject({
    user: z.string().refine(isName, 'expected a name of at most 128 characters'),
    password: z.string().optional(),
    site: place.optional(),
    device: place.optional(),
    publish: filters.optional(),
    subscribe: filters.optional(),
  })
  .refine(({ site, device }) => (site === undefined) === (device === undefined), 'site and device need each other')
  .refine(
    ({ site, publish, subscribe }) => site !== undefined || publish !== undefined || subscribe !== undefined,
    'expected a site and a device (* for any), or rules: publish, subscribe',
  );

/** Throws an Error that names the line and says what is wrong with it; never with a password or its hash. */
export async function parseUsers(text: string): Promise<Users> {
  const users = new Map<string, User>();
  for (const [i, line] of text.split('\n').entries()) {
    if (i % linesAtOnce === linesAtOnce - 1) await nextTurn();
    if (!isEntry(line)) continue;
    const user = parseLine(line, `line ${i + 1}`);
    const { user: name } = user.identity;
    if (users.has(name)) throw new Error(`line ${i + 1}: there is a user ${JSON.stringify(name)} already`);
    if (users.size >= maxUsers) throw new Error(`line ${i + 1}: more than ${maxUsers} users`);
    users.set(name, user);
  }
  return users;
}

export function isEntry(line: string): boolean {
  return line.trim() !== '' && !line.trimStart().startsWith('#');
}

/** Checks an entry as the gateway will; throws an Error that says what is wrong with it. */
export function parseEntry(entry: unknown): User {
  const result = entrySchema.safeParse(entry);
  if (!result.success) {
    const [{ path, message }] = result.error.issues as [z.core.$ZodIssue];
    throw new Error([...path, message].join(': '));
  }
  const { user, site = null, device = null, publish = null, subscribe = null } = result.data;
  const password = result.data.password === undefined ? null : parseHash(result.data.password);
  if (password === null && result.data.password !== undefined) throw new Error('password: it is no scrypt hash');
  return { identity: { source: 'users file', user, site, device, publish, subscribe }, password };
}

function parseLine(line: string, where: string): User {
  let entry: unknown;
  try {
    entry = JSON.parse(line);
  } catch {
    // Its message would show what is there.
    throw new Error(`${where}: it is not JSON`);
  }
  try {
    return parseEntry(entry);
  } catch (error) {
    throw new Error(`${where}: ${error instanceof Error ? error.message : error}`);
  }
}
