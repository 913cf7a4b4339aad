import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { exportJWK, SignJWT, UnsecuredJWT } from 'jose';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { GatewayOptions } from '../../gateway/options.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { defaults, type Opened, openGateway } from './harness.ts';
import { connectPacket, publishPacket, RawClient, type } from './raw-client.ts';

const claims = { sub: 'pump1', site: 'lab', device: 'd1' };
const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
const ecJwk = { ...(await exportJWK(publicKey)), kid: 'ec' };
const octJwk = { kty: 'oct', k: randomBytes(64).toString('base64url'), alg: 'HS256', kid: 'oct' };
const rsaJwk = { ...(await exportJWK(rsa.publicKey)), kid: 'rsa', alg: 'RS256' };

const shortRsa = generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey;
const shortRsaJwk = { ...(await exportJWK(shortRsa)), alg: 'RS256' };

function token(payload: object = claims, expires: string | number | null = '1h', kid = 'ec'): Promise<string> {
  const jwt = new SignJWT({ ...payload }).setProtectedHeader({ alg: 'ES256', kid });
  return (expires === null ? jwt : jwt.setExpirationTime(expires)).sign(privateKey);
}

async function keysFile(...keys: object[]): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-keys-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const file = join(folder, 'keys.json');
  await writeFile(file, JSON.stringify({ keys }));
  return file;
}

async function jwt(overrides: Partial<GatewayOptions['jwt']> = {}): Promise<Pick<GatewayOptions, 'jwt'>> {
  return { jwt: { ...defaults.jwt, keysFile: await keysFile(ecJwk, rsaJwk), ...overrides } };
}

async function connack({ port }: Opened, password: string, username = 'any'): Promise<number> {
  const client = await RawClient.open(port);
  client.send(connectPacket({ clientId: 'c1', credentials: { username, password } }));
  const [code] = await client.received(type.connack);
  client.socket.destroy();
  return code!;
}

describe('A token as password', () => {
  it('says who it is, and for which device it speaks', async () => {
    const opened = await openGateway(await jwt());
    const credentials = { username: 'any', password: await token() };
    const client = await opened.connect({ clientId: 'c1', credentials });
    client.send(publishPacket({ id: 1, topic: 'iot/lab/d1/telemetry' }));
    expect(await client.received(type.puback)).toEqual([1]);
    client.send(publishPacket({ id: 2, topic: 'iot/lab/d2/telemetry' }));
    await client.closed();
  });

  it('is refused when anything of it is wrong', async () => {
    const opened = await openGateway(await jwt({ issuer: 'us', audience: 'sluice' }));
    const ours = { ...claims, iss: 'us', aud: 'sluice' };
    expect(await connack(opened, await token(ours))).toBe(0);
    const other = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
    const publicAsSecret = Buffer.from(rsa.publicKey.export({ type: 'spki', format: 'pem' }));
    const sign = (alg: string, kid: string, key: typeof other | Buffer) =>
      new SignJWT(ours).setProtectedHeader({ alg, kid }).setExpirationTime('1h').sign(key);
    const good = await token(ours);
    for (const [what, password] of Object.entries({
      'another issuer': await token({ ...ours, iss: 'them' }),
      'another audience': await token({ ...ours, aud: 'them' }),
      'no issuer': await token(claims),
      expired: await token(ours, Math.floor(Date.now() / 1000) - 1),
      'without an end': await token(ours, null),
      'another key': await sign('ES256', 'ec', other),
      'a key that is not there': await token(ours, '1h', 'none'),
      'another algorithm than the key is for': await sign('RS512', 'rsa', rsa.privateKey),
      'the public key as a secret': await sign('HS256', 'rsa', publicAsSecret),
      'no signature': new UnsecuredJWT(ours).setExpirationTime('1h').encode(),
      'a changed payload': good.replace(
        /\.[^.]+\./,
        `.${Buffer.from(JSON.stringify({ ...ours, exp: 9e9 })).toString('base64url')}.`,
      ),
      'no token': 'password',
    })) {
      expect(await connack(opened, password), what).toBe(4);
    }
  });

  it('is refused with CONNACK 5 when it does not say for whom it speaks', async () => {
    const opened = await openGateway(await jwt());
    for (const payload of [
      { sub: 'pump1' },
      { ...claims, device: 'a/b' },
      { ...claims, site: 1 },
      { site: 's', device: 'd' },
    ]) {
      expect(await connack(opened, await token(payload))).toBe(5);
    }
    const named = await openGateway(await jwt({ userClaim: 'name', siteClaim: 'plant', deviceClaim: 'thing' }));
    expect(await connack(named, await token({ name: 'a', plant: 'p', thing: '*' }))).toBe(0);
  });

  it('ends its connection when it ends', async () => {
    const clock = new ManualClock(Date.now());
    const opened = await openGateway(await jwt(), { clock });
    const expires = Math.floor(clock.nowMs() / 1000) + 60;
    const client = await opened.connect({ credentials: { username: 'any', password: await token(claims, expires) } });
    clock.advance(58_000);
    await client.ping();
    clock.advance(3000);
    await client.closed();
    expect(opened.gateway.status().closed).toEqual({ token_expired: 1 });
  });

  it.each([
    ['a secret', octJwk, 'keys.0.kty: expected a public key'],
    ['a private key', { ...ecJwk, d: 'x' }, 'keys.0: a private key'],
    ['one without an algorithm', { ...rsaJwk, alg: undefined }, 'keys.0: "alg" is missing'],
    ['one with an algorithm that is none', { ...rsaJwk, alg: 'none' }, 'keys.0.alg'],
    ['a short RSA key', shortRsaJwk, 'keys.0: an RSA key of less than 2048 bits'],
  ])('is checked against keys of which there is: %s', async (_what, key, message) => {
    const opening = openGateway({ jwt: { ...defaults.jwt, keysFile: await keysFile(key) } });
    await expect(opening).rejects.toMatchObject({ code: 'CONFIG_INVALID', message: expect.stringContaining(message) });
  });
});

describe('Keys that another one publishes', () => {
  it('are fetched, and what cannot be fetched is no failed login', async () => {
    let isUp = true;
    const server = createServer((_request, response) => {
      response.writeHead(isUp ? 200 : 500, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ keys: [ecJwk] }));
    }).listen(0, '127.0.0.1');
    onTestFinished(() => void server.close());
    await new Promise((resolve) => server.once('listening', resolve));
    const { port } = server.address() as { port: number };
    const options = { jwt: { ...defaults.jwt, jwksUrl: `http://127.0.0.1:${port}/keys` } };
    const opened = await openGateway(options);
    expect(await connack(opened, await token())).toBe(0);
    expect(await connack(opened, await token(claims, null))).toBe(4);
    isUp = false;
    const other = await openGateway(options);
    expect(await connack(other, await token())).toBe(3);
    expect(other.gateway.status()).toMatchObject({ closed: { keys_unavailable: 1 }, loginsFailed: 0 });
  });
});
