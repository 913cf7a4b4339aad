/** Commands over HTTP: who may send one, what is taken, and what is answered when. */
import { request } from 'node:http';
import { describe, expect, it } from 'vitest';
import { headers } from '../../core/topics.ts';
import type { CommandState } from '../../web/api.ts';
import { eventually } from '../support/eventually.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { openRig, type Rig, tell, topics } from './harness.ts';

const path = '/api/devices/lab/d1/commands';

interface Sent {
  readonly status: number;
  readonly headers: Headers;
  readonly body: CommandState & { readonly error?: { readonly code: string; readonly message: string } };
}

async function send({ url }: Rig, body: unknown, over: Record<string, string> = {}, to = path): Promise<Sent> {
  const response = await fetch(url + to, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...over },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });
  return { status: response.status, headers: response.headers, body: (await response.json()) as Sent['body'] };
}

/** With a `Host` of its own, which `fetch` does not allow. */
function sendAs(rig: Rig, host: string): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const headers = { host, 'content-type': 'application/json' };
  request(rig.url + path, { method: 'POST', headers }, (response) => {
    response.resume();
    resolve(response.statusCode!);
  })
    .on('error', reject)
    .end('{"payload":1}');
  return promise;
}

const commandsOf = ({ bus }: Rig) => bus.records(topics.commands);

describe('A command', () => {
  it('is answered when the bus has it, with its id and until when it may be sent', async () => {
    const clock = new ManualClock();
    const rig = await openRig({ clock });
    const hold = rig.bus.hold((topic) => topic === topics.commands);
    let isAnswered = false;
    const sent = send(rig, { payload: { open: true }, expiresInMs: 5000 }).finally(() => {
      isAnswered = true;
    });
    await eventually(() => hold.waiting.length === 1);
    // An answer would have come before this one.
    await rig.get('/healthz');
    await rig.get('/healthz');
    expect(isAnswered).toBe(false);
    hold.release();
    const { status, headers: answered, body } = await sent;
    expect(status).toBe(202);
    const expiresAtMs = clock.nowMs() + 5000;
    expect(body).toMatchObject({ site: 'lab', device: 'd1', state: 'pending', expiresAtMs, atMs: null });
    expect(answered.get('location')).toBe(`${path}/${body.id}`);
    expect(commandsOf(rig)).toMatchObject([
      {
        key: 'lab/d1',
        value: Buffer.from('{"open":true}'),
        headers: { [headers.commandId]: body.id, [headers.commandExpires]: String(expiresAtMs) },
        timestampMs: clock.nowMs(),
      },
    ]);
  });

  it('is sent as it is: JSON, text or bytes', async () => {
    const rig = await openRig();
    const bytes = Buffer.from([0, 1, 2, 255]);
    const given = [{ payloadText: 'on' }, { payloadText: '' }, { payloadBase64: 'AAEC/w==' }, { payload: null }];
    for (const body of given) expect((await send(rig, body)).status).toBe(202);
    const sent = commandsOf(rig).map(({ value }) => value);
    expect(sent).toEqual([Buffer.from('on'), Buffer.alloc(0), bytes, Buffer.from('null')]);
  });

  it('that must not wait is marked, and one that says nothing waits 30 s', async () => {
    const clock = new ManualClock();
    const rig = await openRig({ clock });
    expect((await send(rig, { payload: 1, expiresInMs: 0 })).body.expiresAtMs).toBe(clock.nowMs() + 5000);
    expect((await send(rig, { payload: 1 })).body.expiresAtMs).toBe(clock.nowMs() + 30_000);
    expect(commandsOf(rig).map((record) => record.headers[headers.commandNow])).toEqual(['1', undefined]);
  });

  it('with an id of the caller is there once, however often it is sent', async () => {
    const rig = await openRig();
    const [one, two] = [await send(rig, { payload: 1, id: 'a' }), await send(rig, { payload: 1, id: 'a' })];
    expect(two).toMatchObject({ status: 202, body: one.body });
    expect((await send(rig, { payload: 1, id: 'a' }, {}, '/api/devices/lab/d2/commands')).status).toBe(202);
    expect(commandsOf(rig)).toHaveLength(2);
  });

  it('is not promised by a bus that does not take it', async () => {
    const rig = await openRig();
    const restore = rig.bus.fail((topic) => topic === topics.commands);
    const { status, headers: answered, body } = await send(rig, { payload: 1, id: 'a' });
    expect([status, body.error?.code, answered.get('retry-after')]).toEqual([503, 'BUS_UNAVAILABLE', '2']);
    expect((await rig.get(`${path}/a`)).status).toBe(404);
    restore();
    expect((await send(rig, { payload: 1, id: 'a' })).status).toBe(202);
  });

  it('is refused, with what is wrong with it', async () => {
    const rig = await openRig();
    const wrong: [unknown, string][] = [
      [{}, 'give one of payload'],
      [{ payload: 1, payloadText: 'a' }, 'give one of payload'],
      [{ payload: 1, expiresInMs: 86_400_001 }, 'expiresInMs is more than 86400000'],
      [{ payload: 1, expiresInMs: -1 }, 'expiresInMs is less than 0'],
      [{ payload: 1, expiresInMs: 1.5 }, 'expiresInMs is not a whole number'],
      [{ payload: 1, id: 'a b' }, 'id is not 1 to 64 of'],
      [{ payloadBase64: '*' }, 'payloadBase64 is not base64'],
      [{ payload: 1, topic: 'x' }, 'there is no topic'],
      ['{', 'JSON'],
      ['', 'empty'],
    ];
    for (const [given, message] of wrong) {
      const { status, body } = await send(rig, given);
      expect(status, JSON.stringify(given)).toBe(400);
      expect(body.error?.message).toContain(message);
    }
    for (const place of ['lab/a%2Fb', '%2B/d1', 'lab/%23', 'lab/%0A', `lab/${'x'.repeat(129)}`]) {
      const { status } = await send(rig, { payload: 1 }, {}, `/api/devices/${place}/commands`);
      expect(status, place).toBe(400);
    }
    expect(commandsOf(rig)).toEqual([]);
  });

  it('is as large as a packet to its device may be, and no larger', async () => {
    const rig = await openRig({ commands: { token: null, isLoopback: true, maxPacketBytes: 2048 } });
    const most = 2048 - 9 - 'iot/lab/d1/commands'.length;
    expect((await send(rig, { payloadText: 'x'.repeat(most) })).status).toBe(202);
    const { status, body } = await send(rig, { payloadText: 'x'.repeat(most + 1) });
    expect([status, body.error?.code]).toEqual([413, 'COMMAND_TOO_LARGE']);
    expect((await send(rig, { payloadText: 'x'.repeat(8000) })).status).toBe(413);
  });
});

describe('What became of a command', () => {
  const result = {
    id: 'a',
    site: 'lab',
    device: 'd1',
    result: 'delivered',
    reason: null,
    requestedAtMs: 1,
    expiresAtMs: 2,
    atMs: 2,
    gateway: 'g',
  };

  it('is known as soon as the bus says so', async () => {
    const rig = await openRig();
    await send(rig, { payload: 1, id: 'a' });
    expect((await rig.get(`${path}/a`)).body).toMatchObject({ id: 'a', state: 'pending' });
    await tell(rig.bus, topics.commandResults, 'lab/d1', { ...result, result: 'nonsense' });
    await tell(rig.bus, topics.commandResults, 'lab/d1', result);
    expect((await rig.get(`${path}/a`)).body).toMatchObject({ state: 'delivered', atMs: 2 });
    expect((await send(rig, { payload: 1, id: 'a' })).body).toMatchObject({ state: 'delivered' });
    expect(commandsOf(rig)).toHaveLength(1);
  });

  it('is known of those before the start, of any process', async () => {
    const first = await openRig();
    await send(first, { payload: 1, id: 'a' });
    await send(first, { payload: 1, id: 'b' });
    await tell(first.bus, topics.commandResults, 'lab/d1', result);
    const rig = await openRig({ bus: first.bus });
    expect((await rig.get(`${path}/a`)).body).toMatchObject({ state: 'delivered' });
    expect((await rig.get(`${path}/b`)).body).toMatchObject({ state: 'pending' });
    expect((await rig.get(`${path}/c`)).status).toBe(404);
  });
});

describe('Who may send a command', () => {
  const remote = { isLoopback: false, maxPacketBytes: 2048 };
  const token = 'a-token-of-enough-length';

  it('is anyone on this machine, but no page of another site in a browser there', async () => {
    const rig = await openRig();
    const { host } = new URL(rig.url);
    expect((await send(rig, { payload: 1 }, { origin: rig.url })).status).toBe(202);
    expect((await send(rig, { payload: 1 }, { origin: 'http://evil.example' })).status).toBe(403);
    expect((await send(rig, { payload: 1 }, { origin: 'null' })).status).toBe(403);
    expect((await send(rig, { payload: 1 }, { 'content-type': 'text/plain' })).status).toBe(415);
    expect(await sendAs(rig, host)).toBe(202);
    expect(await sendAs(rig, `evil.example:${new URL(rig.url).port}`)).toBe(403);
    expect(commandsOf(rig)).toHaveLength(2);
  });

  it('is nobody where HTTP is reached from elsewhere and there is no token: the answer says what to set', async () => {
    const rig = await openRig({ commands: { ...remote, token: null } });
    const { status, body } = await send(rig, { payload: 1 });
    expect([status, body.error?.code]).toEqual([403, 'TOKEN_NEEDED']);
    expect(body.error?.message).toContain('SLUICE_COMMANDS_TOKEN');
    expect((await rig.get(`${path}/a`)).status).toBe(403);
    expect((await rig.get('/api/devices')).status).toBe(200);
  });

  it('is who has the token, where there is one', async () => {
    const rig = await openRig({ commands: { ...remote, token } });
    const authorization = `Bearer ${token}`;
    expect((await send(rig, { payload: 1 }, { authorization })).status).toBe(202);
    for (const wrong of [{}, { authorization: token }, { authorization: `${authorization}x` }]) {
      const { status, headers: answered, body } = await send(rig, { payload: 1 }, wrong);
      expect([status, answered.get('www-authenticate')]).toEqual([401, 'Bearer']);
      expect(JSON.stringify(body)).not.toContain(token);
    }
    expect(commandsOf(rig)).toHaveLength(1);
  });
});
