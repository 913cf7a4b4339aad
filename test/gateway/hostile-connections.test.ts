/** Raw sockets that do to the gateway what they should not: before they are a client. */
import { describe, expect, it, vi } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { expectNobodyLeft, expectNoTrace, expectServed } from './aftermath.ts';
import { openGateway, raw } from './harness.ts';
import { connectPacket, frame, publishPacket, RawClient, type } from './raw-client.ts';

// Other suites run beside it.
vi.setConfig({ testTimeout: 60_000 });

const credentials = { username: 'fleet', password: 'secret' };

/** `count` connections, each of which does the same. */
async function openMany(port: number, count: number, first: (i: number) => Buffer): Promise<RawClient[]> {
  return Promise.all(
    Array.from({ length: count }, async (_, i) => {
      const client = await RawClient.open(port);
      client.send(first(i));
      return client;
    }),
  );
}

async function allClosed(clients: readonly RawClient[]): Promise<void> {
  for (const client of clients) await client.closed();
}

describe('A slow CONNECT', () => {
  it.each([
    ['not a byte', () => Buffer.alloc(0)],
    ['half of it', () => connectPacket().subarray(0, 7)],
  ])('of which comes %s', async (_what, first) => {
    const opened = await openGateway({ connectTimeoutMs: 200 });
    const clients = await openMany(opened.port, 50, first);
    await expectServed(opened);
    await allClosed(clients);
    expect(opened.gateway.status().closed).toEqual({ connect_timeout: 50 });
    await expectNobodyLeft(opened);
  });

  it('that drips byte by byte is closed as one that does not come', async () => {
    const opened = await openGateway({ connectTimeoutMs: 500 });
    const packet = connectPacket({ clientId: 'x'.repeat(120) });
    const clients = await openMany(opened.port, 50, () => packet.subarray(0, 1));
    for (let at = 1; at < packet.length && !clients.every(({ isClosed }) => isClosed); at++) {
      for (const client of clients) client.send(packet.subarray(at, at + 1));
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    await allClosed(clients);
    expect(opened.gateway.status().closed).toEqual({ connect_timeout: 50 });
    await expectServed(opened);
    await expectNobodyLeft(opened);
  });
});

describe('Headers', () => {
  it.each<[string, Buffer, string]>([
    ['of five bytes of remaining length', Buffer.from([0x10, 0xff, 0xff, 0xff, 0xff, 0x7f]), 'malformed_packet'],
    ['of a CONNECT of 256 MiB', Buffer.from([0x10, 0xff, 0xff, 0xff, 0x7f]), 'packet_too_large'],
    ['of a CONNECT over its own limit', frame(0x10, Buffer.alloc(17_000)).subarray(0, 100), 'packet_too_large'],
    ['of no packet at all', Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n'), 'malformed_packet'],
    ['of TLS', Buffer.from([0x16, 0x03, 0x01, 0x02, 0x00, 0x01]), 'malformed_packet'],
    ['of another packet before CONNECT', publishPacket(), 'malformed_packet'],
  ])('%s: closed at once, nothing is kept', async (_what, packet, reason) => {
    const opened = await openGateway();
    const clients = await openMany(opened.port, 20, () => packet);
    await allClosed(clients);
    expect(opened.gateway.status()).toMatchObject({ closed: { [reason]: 20 }, readAheadBytes: 0 });
    await expectServed(opened);
    await expectNobodyLeft(opened);
  });

  it('of packets of 256 MiB from a client: closed at the header', async () => {
    const opened = await openGateway();
    const clients = await openMany(opened.port, 20, (i) => connectPacket({ clientId: `c${i}` }));
    for (const client of clients) await client.received(type.connack);
    for (const client of clients) client.send(Buffer.from([0x30, 0xff, 0xff, 0xff, 0x7f]));
    await allClosed(clients);
    expect(opened.gateway.status().closed).toEqual({ packet_too_large: 20 });
    await expectServed(opened);
    await expectNobodyLeft(opened);
  });
});

describe('A flood of connections', () => {
  it('from one address leaves room for others', async () => {
    const opened = await openGateway({ maxConnectionsPerAddress: 50, maxConnections: 60, connectTimeoutMs: 60_000 });
    const clients = await openMany(opened.port, 300, () => Buffer.alloc(0));
    await eventually(() => clients.filter(({ isClosed }) => isClosed).length === 250);
    expect(opened.gateway.status().closed).toEqual({ too_many_from_address: 250 });
    await expectServed(opened, '127.0.0.2');
    for (const { socket } of clients) socket.destroy();
    await expectNobodyLeft(opened);
  });

  it('over the limit of all is closed, and those that are there stay', async () => {
    const opened = await openGateway({ maxConnections: 30 });
    const clients = await openMany(opened.port, 29, (i) => connectPacket({ clientId: `c${i}` }));
    for (const client of clients) await client.received(type.connack);
    const late = await openMany(opened.port, 11, () => Buffer.alloc(0));
    await eventually(() => late.filter(({ isClosed }) => isClosed).length === 10);
    expect(opened.gateway.status()).toMatchObject({
      closed: { too_many_connections: 10 },
      connections: 30,
      clients: 29,
    });
    for (const client of clients) await client.ping();
    for (const { socket } of [...clients, ...late]) socket.destroy();
    await eventually(() => opened.gateway.status().connections === 0);
    await expectServed(opened);
    await expectNobodyLeft(opened);
  });

  it('while the gateway holds as much as it may is told so', async () => {
    const opened = await openGateway({ maxHeldMessages: 1 });
    const hold = opened.bus.hold(raw);
    const client = await opened.connect();
    client.send(publishPacket());
    await eventually(() => opened.gateway.status().ledger.held === 1);
    const late = await openMany(opened.port, 20, (i) => connectPacket({ clientId: `late${i}` }));
    await allClosed(late);
    expect(late.flatMap((one) => one.ids(type.connack))).toEqual(Array(20).fill(3));
    expect(opened.gateway.status().closed).toEqual({ at_capacity: 20 });
    hold.release();
    await expectServed(opened);
    client.socket.destroy();
    await expectNobodyLeft(opened);
  });

  it('that come and go gives its memory back', async () => {
    const opened = await openGateway();
    await expectNoTrace(opened, async () => {
      for (let round = 0; round < 5; round++) {
        const clients = await openMany(opened.port, 250, (i) => connectPacket({ clientId: `r${round}-${i}` }));
        for (const client of clients) await client.received(type.connack);
        for (const { socket } of clients) socket.destroy();
        await expectNobodyLeft(opened);
      }
    });
  });

  it('with one client id leaves the newest', async () => {
    const opened = await openGateway();
    const clients = await openMany(opened.port, 200, () => connectPacket({ clientId: 'same' }));
    await eventually(() => clients.filter(({ isClosed }) => !isClosed).length === 1);
    await eventually(() => opened.gateway.status().clients === 1);
    expect(opened.gateway.status().closed).toEqual({ taken_over: 199 });
    await expectServed(opened);
    for (const { socket } of clients) socket.destroy();
    await expectNobodyLeft(opened);
  });

  it('with guessed passwords is refused one by one', async () => {
    const { gateway, port } = await openGateway({ credentials });
    const clients = await openMany(port, 100, (i) =>
      connectPacket({ credentials: { ...credentials, password: `${i}` } }),
    );
    await allClosed(clients);
    const { bad_credentials: wrong = 0, too_many_logins: unasked = 0 } = gateway.status().closed;
    const codes = clients.flatMap((client) => client.ids(type.connack));
    expect(codes.filter((code) => code === 4)).toHaveLength(wrong);
    expect(codes.every((code) => code === 4 || code === 3)).toBe(true);
    expect(wrong + unasked).toBe(100);
    const elsewhere = await RawClient.open(port, '127.0.0.2');
    elsewhere.send(connectPacket({ credentials }));
    expect(await elsewhere.received(type.connack), 'who knows it, from another address').toEqual([0]);
    elsewhere.socket.destroy();
  });
});

describe('Text that is none', () => {
  const bad = Buffer.from([0x64, 0xc0, 0x80]);
  it.each<[string, Buffer, string, number[]]>([
    ['in a client id', connectPacket({ clientId: bad }), 'bad_client_id', [2]],
    ['in a user name', connectPacket({ credentials: { ...credentials, username: bad } }), 'bad_text', [4]],
    ['in the topic of a will', connectPacket({ will: { topic: bad, payload: '', qos: 0 } }), 'bad_text', []],
    ['of a client id that is too long', connectPacket({ clientId: 'x'.repeat(129) }), 'bad_client_id', [2]],
    ['of no client id, for a session', connectPacket({ clientId: '', clean: false }), 'bad_client_id', [2]],
  ])('%s is told where MQTT has a word for it', async (_what, packet, reason, connacks) => {
    const opened = await openGateway();
    const client = await RawClient.open(opened.port);
    client.send(packet);
    await client.closed();
    expect(client.ids(type.connack)).toEqual(connacks);
    expect(opened.gateway.status().closed).toEqual({ [reason]: 1 });
    await expectNobodyLeft(opened);
  });
});
