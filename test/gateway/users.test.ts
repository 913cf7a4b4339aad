import { writeFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { silentLogger } from '../../core/log.ts';
import { hashPassword, parseHash, randomPassword, verifyPassword } from '../../gateway/identity/password.ts';
import { parseUsers } from '../../gateway/identity/users.ts';
import { eventually } from '../support/eventually.ts';
import { type Opened, openGateway, topics } from './harness.ts';
import { openWebSocket } from './http-fixture.ts';
import { type ConnectOptions, connectPacket, publishPacket, RawClient, subscribe, type } from './raw-client.ts';
import { usersFile } from './users-fixture.ts';

const pump = { user: 'pump1', password: 'open sesame', site: 'lab', device: 'd1' };
const valve = { user: 'valve', password: 'valve secret', site: 'lab', device: 'd2' };
const as = ({ user, password }: { user: string; password: string }, clientId = user): ConnectOptions => ({
  clientId,
  credentials: { username: user, password },
});

/** The return code of the CONNACK. */
async function connack({ port }: Opened, options: ConnectOptions): Promise<number> {
  const client = await RawClient.open(port);
  client.send(connectPacket(options));
  const [code] = await client.received(type.connack);
  client.socket.destroy();
  return code!;
}

describe('A password hash', () => {
  it('is of the password, of no other, and of the same password another one each time', async () => {
    const [one, two] = [await hashPassword('päss wörd'), await hashPassword('päss wörd')];
    expect(one).toMatch(/^\$scrypt\$ln=14,r=8,p=1\$/);
    expect(one).not.toBe(two);
    const hash = parseHash(one)!;
    expect(await verifyPassword(Buffer.from('päss wörd'), hash)).toBe(true);
    expect(await verifyPassword(Buffer.from('pass word'), hash)).toBe(false);
  });

  it('of a random password is quick to check: nobody could guess it', async () => {
    const password = randomPassword();
    expect(password).toMatch(/^[\w-]{24}$/);
    const hash = await hashPassword(password, 'random');
    expect(hash).toMatch(/^\$scrypt\$ln=10,r=8,p=1\$/);
    expect(await verifyPassword(Buffer.from(password), parseHash(hash)!)).toBe(true);
  });

  it('is taken from others that write PHC strings', async () => {
    // RFC 7914, section 12: N = 16384, r = 8, p = 1.
    const hash =
      '70 23 bd cb 3a fd 73 48 46 1c 06 cd 81 fd 38 eb fd a8 fb ba 90 4f 8e 3e a9 b5 43 f6 54 5d a1 f2 d5 43';
    const rest = ' 29 55 61 3f 0f cf 62 d4 97 05 24 2a 9a f9 e6 1e 85 dc 0d 65 1e 40 df cf 01 7b 45 57 58 87';
    const bytes = Buffer.from((hash + rest).replaceAll(' ', ''), 'hex')
      .toString('base64')
      .replace(/=+$/, '');
    const salt = Buffer.from('SodiumChloride').toString('base64').replace(/=+$/, '');
    const parsed = parseHash(`$scrypt$ln=14,r=8,p=1$${salt}$${bytes}`)!;
    expect(await verifyPassword(Buffer.from('pleaseletmein'), parsed)).toBe(true);
  });

  it.each(['', 'plain', '$scrypt$ln=30,r=8,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA', '$argon2id$v=19$m=1,t=1,p=1$a$b'])(
    'is not %j',
    (text) => {
      expect(parseHash(text)).toBe(null);
    },
  );
});

describe('The users file', () => {
  const hash = '$scrypt$ln=14,r=8,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA';

  it('has one user a line; comments and blank lines are left alone', async () => {
    const lines = [
      '# fleet',
      '',
      `{"user":"a","password":"${hash}","site":"s","device":"*"}`,
      '{"user":"b","publish":["#"]}',
    ];
    const users = await parseUsers(lines.join('\r\n'));
    const source = 'users file';
    expect([...users.values()].map(({ identity }) => identity)).toEqual([
      { source, user: 'a', site: 's', device: '*', publish: null, subscribe: null },
      { source, user: 'b', site: null, device: null, publish: ['#'], subscribe: null },
    ]);
  });

  it.each([
    ['{', 'line 2: it is not JSON'],
    ['{"user":"a","site":"s","device":"d","passwort":"x"}', 'passwort'],
    ['{"user":"a"}', 'expected a site and a device'],
    ['{"user":"a","site":"s"}', 'site and device need each other'],
    ['{"user":"a","site":"s/t","device":"d"}', 'site: expected one level'],
    ['{"user":"a","site":"+","device":"d"}', 'site: expected one level'],
    ['{"user":"a","publish":["a/#/b"]}', 'publish: 0: "a/#/b" is no topic filter: # is not its last level'],
    ['{"user":"a","site":"s","device":"d","password":"my secret"}', 'password: it is no scrypt hash'],
    ['{"user":"first","site":"s","device":"d"}', 'there is a user "first" already'],
  ])('says what is wrong with %s', async (line, message) => {
    const text = `{"user":"first","site":"s","device":"d"}\n${line}\n`;
    await expect(parseUsers(text)).rejects.toThrow(message);
    await expect(parseUsers(text)).rejects.toThrow(/^line 2: /);
    await expect(parseUsers(text)).rejects.not.toThrow('my secret');
  });

  it('that cannot be used stops the start, and says why', async () => {
    const { file } = await usersFile();
    await writeFile(file, 'nonsense\n');
    await expect(openGateway({ usersFile: file })).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringMatching(/mqtt\.usersFile .*line 1: it is not JSON/),
    });
    await expect(openGateway({ usersFile: `${file}.none` })).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
  });

  it('lets the gateway be reached from elsewhere', async () => {
    const { file } = await usersFile([pump]);
    await openGateway({ host: '0.0.0.0', usersFile: file });
  });
});

describe('A user', () => {
  it('gets in with its password alone, and another user or nobody does not', async () => {
    const { file } = await usersFile([pump, { ...valve, password: undefined }]);
    const opened = await openGateway({ usersFile: file });
    expect(await connack(opened, as(pump))).toBe(0);
    expect(await connack(opened, as({ ...pump, password: 'open sesam' }))).toBe(4);
    expect(await connack(opened, as({ user: 'other', password: 'open sesame' }))).toBe(4);
    expect(await connack(opened, {}), 'nobody').toBe(4);
    expect(await connack(opened, as({ ...valve, password: '' })), 'one without a password').toBe(4);
    expect(opened.gateway.status()).toMatchObject({
      closed: { bad_credentials: 4 },
      loginsFailed: 4,
      loginsDelayed: 0,
    });
  });

  it('publishes for its own device, and is closed for anything else', async () => {
    const { file } = await usersFile([pump]);
    const { connect, gateway, messages } = await openGateway({ usersFile: file });
    const client = await connect(as(pump));
    client.send(publishPacket({ id: 1, topic: 'iot/lab/d1/telemetry' }));
    expect(await client.received(type.puback)).toEqual([1]);
    for (const topic of ['iot/lab/d2/telemetry', 'iot/other/d1/telemetry', 'iot/lab/d1/commands']) {
      const other = await connect(as(pump, 'another'));
      other.send(publishPacket({ id: 2, topic }));
      await other.closed();
      expect(other.ids(type.puback)).toEqual([]);
    }
    expect(messages()).toHaveLength(1);
    expect(gateway.status()).toMatchObject({ closed: { not_authorized: 3 }, ledger: { received: 1 } });
  });

  it('has no will that is not its own', async () => {
    const { file } = await usersFile([pump]);
    const opened = await openGateway({ usersFile: file });
    const will = { topic: 'iot/lab/d2/telemetry', payload: '{"t":1}', qos: 1 };
    expect(await connack(opened, { ...as(pump), will })).toBe(5);
    expect(await connack(opened, { ...as(pump), will: { ...will, topic: 'iot/lab/d1/telemetry' } })).toBe(0);
    expect(opened.gateway.status().closed).toEqual({ not_authorized: 1 });
    await opened.appended(1);
    expect(opened.bus.records(topics.raw).filter(({ value }) => value !== null)).toMatchObject([{ key: 'lab/d1' }]);
  });

  it('cannot end the connection of another by its client id', async () => {
    const { file } = await usersFile([pump, valve]);
    const opened = await openGateway({ usersFile: file });
    const client = await opened.connect(as(pump, 'the same'));
    expect(await connack(opened, as(valve, 'the same'))).toBe(2);
    await client.ping();
    const again = await opened.connect(as(pump, 'the same'));
    await client.closed();
    await again.ping();
  });

  it('stands beside the one of the configuration, who may do everything', async () => {
    const { file } = await usersFile([pump]);
    const credentials = { username: 'fleet', password: 'all of it' };
    const { connect } = await openGateway({ usersFile: file, credentials });
    const all = await connect({ clientId: 'x', credentials });
    all.send(publishPacket({ id: 1, topic: 'iot/lab/d9/telemetry' }));
    expect(await all.received(type.puback)).toEqual([1]);
    await connect(as(pump));
  });
});

describe('A users file that changes', () => {
  it('is in force within two seconds: the removed is closed, the others stay and may what it says now', async () => {
    const { file, write } = await usersFile([pump, valve]);
    const { connect, gateway } = await openGateway({ usersFile: file });
    const [removed, kept] = [await connect(as(pump)), await connect(as(valve))];
    kept.send(subscribe(1, 'iot/lab/d2/commands'));
    await kept.received(type.suback);
    await write([
      { ...valve, device: 'd3' },
      { user: 'new', password: 'brand new', site: 'lab', device: 'd4' },
    ]);
    const changedAtMs = performance.now();
    await removed.closed();
    expect(performance.now() - changedAtMs).toBeLessThan(2000);
    expect(gateway.status().closed).toEqual({ identity_revoked: 1 });
    expect(await gateway.deliver('iot/lab/d2/commands', Buffer.from('x')), 'not its own any more').toBe('gone');
    kept.send(publishPacket({ id: 5, topic: 'iot/lab/d3/telemetry' }));
    expect(await kept.received(type.puback)).toEqual([5]);
    await connect(as({ user: 'new', password: 'brand new' }));
  });

  it('and cannot be used leaves the former in force, is said once, and is in force when it is mended', async () => {
    const { file, write } = await usersFile([pump]);
    const errors: object[] = [];
    const log = { ...silentLogger, error: (fields: object) => void errors.push(fields) };
    const { connect, gateway } = await openGateway({ usersFile: file }, { log });
    const client = await connect(as(pump));
    await writeFile(file, 'nonsense\n');
    await eventually(() => gateway.status().warnings.length === 1);
    expect(gateway.status()).toMatchObject({
      ready: true,
      warnings: [expect.stringContaining('line 1: it is not JSON')],
    });
    const readyz = `${(await openWebSocket(gateway)).replace('ws:', 'http:').replace('/mqtt', '/readyz')}`;
    const response = await fetch(readyz);
    expect(response.status).toBe(200);
    expect(await response.json()).toMatchObject({ warnings: [expect.stringContaining('mqtt.usersFile')] });
    await connect(as(pump, 'another'));
    await client.ping();
    await write([pump, valve]);
    await eventually(() => gateway.status().warnings.length === 0);
    await connect(as(valve));
    expect(errors).toHaveLength(1);
  });

  it('has another password: who is connected stays, and the old one is wrong', async () => {
    const { file, write } = await usersFile([pump]);
    const opened = await openGateway({ usersFile: file });
    const client = await opened.connect(as(pump));
    await write([{ ...pump, password: 'another one' }]);
    await eventually(async () => (await connack(opened, as({ ...pump, password: 'another one' }, 'x'))) === 0);
    expect(await connack(opened, as(pump, 'y'))).toBe(4);
    await client.ping();
  });
});
