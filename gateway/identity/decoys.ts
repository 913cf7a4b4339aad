/**
 * What the password of a user that there is not is checked against. Hashes of the users file differ in cost, so a refusal
 * takes as long as for some user there is, and for one name always as long: it does not tell who is in the file.
 */
import { createHmac, randomBytes } from 'node:crypto';
import { type PasswordHash, parseHash } from './password.ts';
import type { Users } from './users.ts';

/** Of a password that nobody has. */
const nobody = parseHash(
  '$scrypt$ln=14,r=8,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA',
) as PasswordHash;

export class Decoys {
  /** Only in this process: nobody else can tell which user a name is drawn to. */
  readonly #key = randomBytes(32);
  #users: Users | null = null;
  #costs: readonly PasswordHash['options'][] = [];

  /** For the name of someone who is not among the users, or has no password. */
  of(name: string, users: Users): PasswordHash {
    if (users !== this.#users) {
      this.#users = users;
      this.#costs = [...users.values()].flatMap(({ password }) => (password === null ? [] : [password.options]));
    }
    const draw = createHmac('sha256', this.#key).update(name).digest().readUInt32LE() / 2 ** 32;
    const options = this.#costs[Math.floor(draw * this.#costs.length)] ?? nobody.options;
    return { ...nobody, options };
  }
}
