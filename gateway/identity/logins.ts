/**
 * Who is it? What a client shows of itself, made into an identity or refused: a certificate, a token, or the password
 * of the one user of the configuration or of one in the users file. Where there is none of it, anyone is let in, and who shows
 * nothing where that is allowed (`auth.ts` says from where).
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { Clock } from '../../core/clock.ts';
import type { Logger } from '../../core/log.ts';
import { hasCredentials, isOpen } from '../auth.ts';
import type { Refusal } from '../broker.ts';
import { addressKey } from '../entrances/addresses.ts';
import type { GatewayOptions } from '../options.ts';
import { Decoys } from './decoys.ts';
import { type Identity, isPlace, trusted } from './identity.ts';
import { LoginThrottle } from './login-throttle.ts';
import { Reloaded } from './reloaded.ts';
import { looksLikeToken, Tokens } from './tokens.ts';
import { parseUsers, type Users } from './users.ts';
import { Verifications } from './verifications.ts';

/** What a client shows of itself. */
export interface Shown {
  readonly username: string | undefined;
  readonly password: Buffer | undefined;
  readonly address: string;
  /** The name in its certificate, which was checked. */
  readonly certificate: string | null;
}

export type Login =
  /** `expiresAtMs`: until when; absent: until it ends by itself. */
  { readonly identity: Identity; readonly expiresAtMs?: number } | { readonly refusal: Refusal };

const nothing = Buffer.alloc(0);
const wrong = { refusal: 'bad_credentials' } as const;

export type LoginOptions = Pick<
  GatewayOptions,
  'credentials' | 'usersFile' | 'tls' | 'jwt' | 'anonymous' | 'maxFailedLoginsPerAddress'
>;

export class Logins {
  readonly throttle: LoginThrottle;
  readonly #options: LoginOptions;
  readonly #users: Reloaded<Users> | null;
  readonly #tokens: Tokens | null;
  readonly #verifications: Verifications;
  readonly #decoys = new Decoys();

  private constructor(options: LoginOptions, users: Reloaded<Users> | null, tokens: Tokens | null, clock: Clock) {
    this.#options = options;
    this.#users = users;
    this.#tokens = tokens;
    this.#verifications = new Verifications(clock);
    this.throttle = new LoginThrottle(clock, options.maxFailedLoginsPerAddress);
  }

  /** Rejects with CONFIG_INVALID when a file cannot be used. */
  static async open(options: LoginOptions, clock: Clock, log: Logger): Promise<Logins> {
    const { usersFile, jwt } = options;
    const parse = ([content]: readonly Buffer[]) => parseUsers(String(content));
    const context = { setting: 'mqtt.usersFile', parse, clock, log };
    const users = usersFile === undefined ? null : await Reloaded.open({ ...context, files: [usersFile] });
    const hasKeys = jwt.keysFile !== undefined || jwt.jwksUrl !== undefined;
    return new Logins(options, users, hasKeys ? await Tokens.open(jwt, clock, log) : null, clock);
  }

  /** `onChange`: who is connected may do something else now, or is no one any more (`renewed`). */
  start(onChange: () => void): void {
    this.#users?.start(onChange);
    this.#tokens?.start();
  }

  close(): void {
    this.#users?.close();
    this.#tokens?.close();
  }

  /** What is wrong with the files that stay in force as they were, in words. */
  warnings(): string[] {
    const users = this.#users?.problem ?? null;
    return [...(users === null ? [] : [users]), ...(this.#tokens?.warnings() ?? [])];
  }

  async login(shown: Shown): Promise<Login> {
    if (shown.certificate !== null) return this.#ofCertificate(shown.certificate);
    const saysNothing = shown.username === undefined || !hasCredentials(this.#options);
    if (saysNothing && isOpen(this.#options)) return { identity: trusted('nobody') };
    const turn = await this.throttle.wait(shown.address);
    if (turn === 'turned away') return { refusal: 'too_many_logins' };
    // Of many that came at once the first may fail meanwhile: then the others would have had to wait.
    const mayRun = () => turn === 'waited' || !this.throttle.isDelayed(shown.address);
    const login = await this.#check(shown, mayRun);
    if ('refusal' in login && login.refusal === 'bad_credentials') this.throttle.fail(shown.address);
    return login;
  }

  /** The identity as the users file has it now; `null`: it is not there any more. */
  renewed(identity: Identity): Identity | null {
    if (identity.source !== 'users file') return identity;
    return this.#users?.value.get(identity.user)?.identity ?? null;
  }

  /** It names a user of the file, or the place that it speaks for. */
  #ofCertificate(name: string): Login {
    const user = this.#users?.value.get(name);
    if (user !== undefined) return { identity: user.identity };
    const [site, device, ...rest] = name.split('/');
    if (!isPlace(site) || !isPlace(device) || rest.length > 0) return { refusal: 'not_authorized' };
    return { identity: { source: 'certificate', user: name, site, device, publish: null, subscribe: null } };
  }

  async #check({ username = '', password = nothing, address }: Shown, mayRun: () => boolean): Promise<Login> {
    const { credentials } = this.#options;
    if (this.#tokens !== null && looksLikeToken(password)) return this.#tokens.login(String(password));
    if (credentials !== null && isEqual(username, credentials.username)) {
      return isEqual(password, credentials.password) ? { identity: trusted('configuration', username) } : wrong;
    }
    if (this.#users === null) return wrong;
    const users = this.#users.value;
    const user = users.get(username);
    const hash = user?.password ?? this.#decoys.of(username, users);
    const verdict = await this.#verifications.verify(password, hash, addressKey(address), mayRun);
    if (verdict === 'busy') return { refusal: 'too_many_logins' };
    return verdict === 'right' && user?.password != null ? { identity: user.identity } : wrong;
  }
}

/** In constant time whatever the lengths are. */
function isEqual(given: string | Buffer, expected: string): boolean {
  const digest = (value: string | Buffer) => createHash('sha256').update(value).digest();
  return timingSafeEqual(digest(given), digest(expected));
}
