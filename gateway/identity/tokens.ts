/**
 * JSON Web Tokens as passwords (RFC 7519): who is meant, and until when, is what a key of ours has signed. Which algorithm
 * is right is said by the key, never by the token alone, and none is taken without an end.
 */
import {
  createLocalJWKSet,
  createRemoteJWKSet,
  errors,
  type JSONWebKeySet,
  type JWK,
  type JWTPayload,
  type JWTVerifyGetKey,
  jwtVerify,
} from 'jose';
import { z } from 'zod';
import type { Clock } from '../../core/clock.ts';
import type { Logger } from '../../core/log.ts';
import type { GatewayOptions } from '../options.ts';
import { type Identity, isName, isPlace } from './identity.ts';
import { Reloaded } from './reloaded.ts';

export type TokenOptions = GatewayOptions['jwt'];

export type TokenLogin =
  | { readonly identity: Identity; readonly expiresAtMs: number }
  | { readonly refusal: 'bad_credentials' | 'not_authorized' | 'keys_unavailable' };

/** Of public keys alone: whoever can check a token must not be able to make one. */
const algorithms = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA'];
/** The one that there is for the curve of a key. */
const ofCurve: Readonly<Record<string, string>> = {
  'P-256': 'ES256',
  'P-384': 'ES384',
  'P-521': 'ES512',
  Ed25519: 'EdDSA',
};
const minModulusBytes = 256;

const keySet = z.object({
  keys: z
    .array(
      z.looseObject({
        kty: z.enum(['RSA', 'EC', 'OKP'], 'expected a public key: RSA, EC or OKP'),
        alg: z.enum(algorithms).optional(),
        crv: z.string().optional(),
        d: z.string().optional(),
        n: z.string().optional(),
      }),
    )
    .min(1),
});

export class Tokens {
  readonly #options: TokenOptions;
  readonly #clock: Clock;
  readonly #keys: Reloaded<JWTVerifyGetKey> | JWTVerifyGetKey;

  private constructor(options: TokenOptions, keys: Reloaded<JWTVerifyGetKey> | JWTVerifyGetKey, clock: Clock) {
    this.#options = options;
    this.#keys = keys;
    this.#clock = clock;
  }

  /** Rejects with CONFIG_INVALID when the file of keys cannot be used. */
  static async open(options: TokenOptions, clock: Clock, log: Logger): Promise<Tokens> {
    const { keysFile, jwksUrl } = options;
    if (keysFile === undefined) return new Tokens(options, createRemoteJWKSet(new URL(jwksUrl!)), clock);
    const parse = ([content]: readonly Buffer[]): JWTVerifyGetKey => createLocalJWKSet(parseKeys(String(content)));
    const context = { setting: 'mqtt.jwt.keysFile', files: [keysFile], parse, clock, log };
    return new Tokens(options, await Reloaded.open(context), clock);
  }

  start(): void {
    if (this.#keys instanceof Reloaded) this.#keys.start();
  }

  close(): void {
    if (this.#keys instanceof Reloaded) this.#keys.close();
  }

  warnings(): string[] {
    return this.#keys instanceof Reloaded && this.#keys.problem !== null ? [this.#keys.problem] : [];
  }

  async login(token: string): Promise<TokenLogin> {
    const { issuer, audience } = this.#options;
    try {
      const { payload } = await jwtVerify(token, this.#keys instanceof Reloaded ? this.#keys.value : this.#keys, {
        ...(issuer === undefined ? {} : { issuer }),
        ...(audience === undefined ? {} : { audience }),
        algorithms,
        requiredClaims: ['exp'],
        currentDate: new Date(this.#clock.nowMs()),
      });
      const identity = this.#identity(payload);
      return identity === null ? { refusal: 'not_authorized' } : { identity, expiresAtMs: payload.exp! * 1000 };
    } catch (error) {
      return { refusal: isWrong(error) ? 'bad_credentials' : 'keys_unavailable' };
    }
  }

  /** `null`: the token does not say for whom it speaks. */
  #identity(payload: JWTPayload): Identity | null {
    const { userClaim, siteClaim, deviceClaim } = this.#options;
    const [user, site, device] = [payload[userClaim], payload[siteClaim], payload[deviceClaim]];
    if (!isName(user) || !isPlace(site) || !isPlace(device)) return null;
    return { source: 'token', user, site, device, publish: null, subscribe: null };
  }
}

/** Three parts of base64url, the first of which is a JSON object. */
export function looksLikeToken(password: Buffer): boolean {
  return /^eyJ[\w-]+\.[\w-]+\.[\w-]+$/.test(password.toString('latin1'));
}

/** Throws an Error that says which key cannot be used; never with the key. */
export function parseKeys(text: string): JSONWebKeySet {
  let content: unknown;
  try {
    content = JSON.parse(text);
  } catch {
    throw new Error('it is not JSON');
  }
  const result = keySet.safeParse(content);
  if (!result.success) {
    const [{ path, message }] = result.error.issues as [z.core.$ZodIssue];
    throw new Error([path.join('.'), message].join(': '));
  }
  return { keys: result.data.keys.map((key, i) => withAlgorithm(key as JWK, `keys.${i}`)) };
}

function withAlgorithm(key: JWK, where: string): JWK {
  const { kty, crv = '', n = '', d } = key;
  if (d !== undefined) throw new Error(`${where}: a private key: only its public part belongs here`);
  const modulusBytes = Buffer.from(n, 'base64url').length;
  if (kty === 'RSA' && modulusBytes < minModulusBytes) throw new Error(`${where}: an RSA key of less than 2048 bits`);
  const alg = key.alg ?? ofCurve[crv];
  if (alg === undefined) throw new Error(`${where}: "alg" is missing: it says which algorithm the key is for`);
  return { ...key, alg };
}

/** The token is wrong; else its keys could not be had. */
function isWrong(error: unknown): boolean {
  if (error instanceof errors.JWKSTimeout || error instanceof errors.JWKSInvalid) return false;
  return error instanceof errors.JOSEError && error.code !== 'ERR_JOSE_GENERIC';
}
