/** Passwords as scrypt hashes (RFC 7914), written as PHC strings: `$scrypt$ln=14,r=8,p=1$<salt>$<hash>`. */
import { randomBytes, type ScryptOptions, scrypt, timingSafeEqual } from 'node:crypto';

/**
 * What a person chose can be guessed, and each guess has to cost: 16 MiB and about 50 ms. What was drawn from 144 random
 * bits cannot, however fast one guesses: 1 MiB and about 3 ms, so that a fleet that comes back at once is let in at once.
 */
const costs = { chosen: { ln: 14, r: 8, p: 1 }, random: { ln: 10, r: 8, p: 1 } } as const;
export type PasswordOrigin = keyof typeof costs;

const randomBits = 144;
const saltBytes = 16;
const hashBytes = 32;
/** A hash asks for no more than this of the one who checks it: 128 MiB, half a second. */
const most = { ln: 17, r: 8, p: 4 };

export interface PasswordHash {
  /** As it is in the file. */
  readonly text: string;
  readonly options: ScryptOptions;
  readonly salt: Buffer;
  readonly hash: Buffer;
}

/** `null`: it is none, or asks for more than may be. */
export function parseHash(text: string): PasswordHash | null {
  const match = /^\$scrypt\$ln=(\d{1,2}),r=(\d),p=(\d)\$([A-Za-z0-9+/]{8,86})\$([A-Za-z0-9+/]{22,86})$/.exec(text);
  if (match === null) return null;
  const [ln, r, p] = match.slice(1, 4).map(Number) as [number, number, number];
  if (ln < 10 || ln > most.ln || r < 1 || r > most.r || p < 1 || p > most.p) return null;
  const salt = Buffer.from(match[4]!, 'base64');
  const hash = Buffer.from(match[5]!, 'base64');
  return { text, options: scryptOptions(ln, r, p), salt, hash };
}

export function randomPassword(): string {
  return randomBytes(randomBits / 8).toString('base64url');
}

export async function hashPassword(password: string, origin: PasswordOrigin = 'chosen'): Promise<string> {
  const { ln, r, p } = costs[origin];
  const salt = randomBytes(saltBytes);
  const hash = await derive(password, salt, hashBytes, scryptOptions(ln, r, p));
  return `$scrypt$ln=${ln},r=${r},p=${p}$${unpadded(salt)}$${unpadded(hash)}`;
}

/** In a thread of Node's pool. */
export async function verifyPassword(password: Buffer, { salt, hash, options }: PasswordHash): Promise<boolean> {
  return timingSafeEqual(await derive(password, salt, hash.length, options), hash);
}

function scryptOptions(ln: number, r: number, p: number): ScryptOptions {
  const N = 2 ** ln;
  return { N, r, p, maxmem: 256 * N * r };
}

function derive(password: string | Buffer, salt: Buffer, bytes: number, options: ScryptOptions): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    scrypt(password, salt, bytes, options, (error, key) => (error === null ? resolve(key) : reject(error)));
  });
}

function unpadded(bytes: Buffer): string {
  return bytes.toString('base64').replace(/=+$/, '');
}
