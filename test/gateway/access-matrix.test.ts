/** Identity × way in × action × topic: what each client, as mqtt.js makes one, may do and may not. */
import { generateKeyPairSync } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { exportJWK, SignJWT } from 'jose';
import mqtt, { type IClientOptions, type MqttClient } from 'mqtt';
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { hashPassword } from '../../gateway/identity/password.ts';
import { eventually } from '../support/eventually.ts';
import { Authority, type CertifiedFiles } from './authority.ts';
import { defaults, type Opened, openGateway } from './harness.ts';
import { openWebSocket } from './http-fixture.ts';

type Way = 'tcp' | 'tls' | 'websocket';
type Outcome = 'yes' | 'no';

interface Row {
  readonly who: string;
  readonly clientId?: string;
  /** What it is over each way, if it gets in there at all. */
  readonly ways: Readonly<Record<Way, boolean>>;
  readonly publish: Readonly<Record<string, Outcome>>;
  readonly subscribe: Readonly<Record<string, Outcome>>;
}

const everyWay = { tcp: true, tls: true, websocket: true };
const telemetry = (device: string) => `iot/lab/${device}/telemetry`;
const ownDevice: Pick<Row, 'publish' | 'subscribe'> = {
  publish: {
    [telemetry('d1')]: 'yes',
    [telemetry('d2')]: 'no',
    'iot/plant/d1/telemetry': 'no',
    'iot/lab/d1/commands': 'no',
    'iot/lab/d1/errors': 'no',
    'a/topic/without/a/route': 'no',
  },
  subscribe: {
    'iot/lab/d1/commands': 'yes',
    'iot/lab/d1/errors': 'yes',
    'iot/lab/d2/commands': 'no',
    'iot/lab/d1/telemetry': 'no',
    'iot/lab/+/commands': 'no',
    '#': 'no',
  },
};
const everything: Pick<Row, 'publish' | 'subscribe'> = {
  publish: { [telemetry('d1')]: 'yes', 'iot/lab/d2/commands': 'yes', 'a/topic/without/a/route': 'yes' },
  subscribe: { 'iot/lab/d1/commands': 'yes', 'iot/lab/d2/errors': 'yes', 'iot/lab/d1/telemetry': 'no', '#': 'no' },
};

const rows: readonly Row[] = [
  { who: 'password', ways: everyWay, ...ownDevice },
  {
    who: 'password',
    clientId: 'pump',
    ways: everyWay,
    publish: { 'a/topic/without/a/route': 'yes', 'iot/lab/d1/commands': 'no' },
    subscribe: {},
  },
  { who: 'token', ways: everyWay, ...ownDevice },
  { who: 'certificate', ways: { tcp: false, tls: true, websocket: false }, ...ownDevice },
  {
    who: 'fleet',
    ways: everyWay,
    publish: { [telemetry('d9')]: 'yes', 'iot/plant/d9/telemetry': 'no', 'iot/lab/d9/commands': 'no' },
    subscribe: { 'iot/lab/d9/commands': 'yes', 'iot/plant/d9/commands': 'no' },
  },
  {
    who: 'rules',
    ways: everyWay,
    publish: { 'own/rules/c1/x': 'yes', 'own/rules/c2/x': 'no', [telemetry('d1')]: 'no' },
    subscribe: { 'iot/any/d1/errors': 'yes', 'iot/any/d1/commands': 'no' },
  },
  { who: 'the one user', ways: everyWay, ...everything },
  { who: 'wrong password', ways: { tcp: false, tls: false, websocket: false }, publish: {}, subscribe: {} },
  { who: 'nobody', ways: { tcp: false, tls: false, websocket: false }, publish: {}, subscribe: {} },
];

const key = generateKeyPairSync('ed25519');

async function shown(certificate: CertifiedFiles): Promise<Record<string, IClientOptions>> {
  const claims = { sub: 'pump', site: 'lab', device: 'd1' };
  const token = new SignJWT(claims).setProtectedHeader({ alg: 'EdDSA' }).setExpirationTime('1h').sign(key.privateKey);
  return {
    password: { username: 'pump', password: 'password of pump' },
    token: { username: 'whoever', password: await token },
    certificate: { cert: await readFile(certificate.cert), key: await readFile(certificate.key) },
    fleet: { username: 'fleet', password: 'password of fleet' },
    rules: { username: 'rules', password: 'password of rules' },
    'the one user': { username: 'one', password: 'password of one' },
    'wrong password': { username: 'pump', password: 'password of pumps' },
    nobody: {},
  };
}

interface Doors {
  readonly opened: Opened;
  readonly url: Readonly<Record<Way, string>>;
  readonly ca: Buffer;
}

/** All ways in at once. */
async function openAll(authority: Authority, credentials: boolean): Promise<Doors> {
  const path = (name: string) => join(authority.folder, name);
  const entry = async (user: string, rest: object) => ({
    user,
    password: await hashPassword(`password of ${user}`),
    ...rest,
  });
  const users = [
    await entry('pump', { site: 'lab', device: 'd1' }),
    await entry('fleet', { site: 'lab', device: '*' }),
    await entry('rules', { publish: ['own/%u/%c/#'], subscribe: ['iot/any/+/errors'] }),
  ];
  await writeFile(path('users'), users.map((user) => `${JSON.stringify(user)}\n`).join(''));
  await writeFile(path('keys'), JSON.stringify({ keys: [await exportJWK(key.publicKey)] }));
  const opened = await openGateway({
    tls: { ...defaults.tls, port: 0, ...authority.server(), ...(credentials ? { ca: authority.ca } : {}) },
    ...(credentials
      ? {
          usersFile: path('users'),
          jwt: { ...defaults.jwt, keysFile: path('keys') },
          credentials: { username: 'one', password: 'password of one' },
        }
      : {}),
  });
  const url = {
    tcp: `mqtt://127.0.0.1:${opened.port}`,
    tls: `mqtts://127.0.0.1:${opened.gateway.tlsAddress()!.port}`,
    websocket: await openWebSocket(opened.gateway),
  };
  return { opened, url, ca: await readFile(authority.ca) };
}

/** `null`: it is not let in. */
async function connect({ url, ca }: Doors, way: Way, options: IClientOptions): Promise<MqttClient | null> {
  const own = way === 'tls' ? { ca } : {};
  const all: IClientOptions = { clientId: 'c1', ...options, ...own, reconnectPeriod: 0, protocolVersion: 4 };
  const client = await mqtt.connectAsync(url[way], all).catch(() => null);
  if (client !== null) onTestFinished(() => void client.end(true));
  return client;
}

/** Whether a message is acknowledged, or its client closed. */
async function tryPublish(client: MqttClient, topic: string): Promise<Outcome> {
  let outcome: Outcome | null = null;
  client.once('close', () => {
    outcome ??= 'no';
  });
  void client.publishAsync(topic, '{"t":1}', { qos: 1 }).then(
    () => {
      outcome ??= 'yes';
    },
    () => {},
  );
  return eventually(() => outcome ?? undefined);
}

async function trySubscribe(client: MqttClient, topic: string): Promise<Outcome> {
  const granted = await client.subscribeAsync(topic, { qos: 1 }).catch(() => [{ qos: 128 }]);
  return granted[0]?.qos === 1 ? 'yes' : 'no';
}

async function outcomes(doors: Doors, way: Way, options: IClientOptions, { clientId = 'c1', ...row }: Row) {
  const as = { ...options, clientId };
  const client = await connect(doors, way, as);
  if (client === null) return 'not let in';
  const subscribe: Record<string, Outcome> = {};
  for (const topic of Object.keys(row.subscribe)) subscribe[topic] = await trySubscribe(client, topic);
  const publish: Record<string, Outcome> = {};
  // Each on a connection of its own: one that is not allowed ends it.
  for (const topic of Object.keys(row.publish)) {
    publish[topic] = await tryPublish((await connect(doors, way, as))!, topic);
  }
  return { subscribe, publish };
}

describe('Who may do what', { timeout: 60_000 }, () => {
  let certificate: CertifiedFiles;
  let authority: Authority;
  let options: Record<string, IClientOptions>;

  beforeAll(async () => {
    authority = new Authority();
    certificate = authority.client('lab/d1');
    options = await shown(certificate);
    return () => authority.remove();
  });

  it.each(['tcp', 'tls', 'websocket'] as const)('over %s', async (way) => {
    const doors = await openAll(authority, true);
    for (const row of rows) {
      const { who, publish, subscribe, ways } = row;
      const expected = ways[way] ? { subscribe, publish } : 'not let in';
      expect(await outcomes(doors, way, options[who]!, row), `${who} over ${way}`).toEqual(expected);
    }
    const refused = rows.flatMap(({ publish, ways }) => (ways[way] ? Object.values(publish) : []));
    expect(doors.opened.gateway.status().closed.not_authorized).toBe(refused.filter((o) => o === 'no').length);
    expect(doors.opened.messages()).toHaveLength(refused.filter((o) => o === 'yes').length);
  });

  it.each(['tcp', 'tls', 'websocket'] as const)('where anyone is let in, over %s: everything', async (way) => {
    const doors = await openAll(authority, false);
    for (const who of ['nobody', 'wrong password']) {
      const row = { who, ways: everyWay, ...everything };
      expect(await outcomes(doors, way, options[who]!, row)).toEqual(everything);
    }
  });
});
