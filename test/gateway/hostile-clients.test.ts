/** Clients that were accepted and do to the gateway what they should not. */
import { once } from 'node:events';
import { describe, expect, it, vi } from 'vitest';
import { eventually } from '../support/eventually.ts';
import {
  expectMemoryBack,
  expectNobodyLeft,
  expectNoTrace,
  expectServed,
  ForgetfulBus,
  usedBytes,
} from './aftermath.ts';
import { type Opened, openGateway, raw } from './harness.ts';
import {
  type ConnectOptions,
  connectPacket,
  pingreq,
  publishPacket,
  RawClient,
  subscribe,
  type,
  unsubscribe,
} from './raw-client.ts';

// Other suites run beside it.
vi.setConfig({ testTimeout: 60_000 });

const quick = { maxMessagesPerSecond: 1_000_000, maxBytesPerSecond: 1024 ** 3 };

/** Not by the harness, which would remember them. */
async function connectMany({ port }: Opened, count: number, options: ConnectOptions = {}): Promise<RawClient[]> {
  return Promise.all(
    Array.from({ length: count }, async (_, i) => {
      const client = await RawClient.open(port);
      client.send(connectPacket({ clientId: `hostile${i}`, ...options }));
      await client.received(type.connack);
      return client;
    }),
  );
}

async function leave(opened: Opened, ...clients: readonly RawClient[]): Promise<void> {
  for (const { socket } of clients) socket.destroy();
  await expectServed(opened);
  await expectNobodyLeft(opened);
}

describe('Every limit on what a client sends', () => {
  it.each<[string, Buffer, string]>([
    ['a packet over the limit', publishPacket({ payload: 'x'.repeat(300_000) }), 'packet_too_large'],
    ['a topic that is too long', publishPacket({ topic: 'x'.repeat(257) }), 'topic_too_long'],
    ['a topic that is too deep', publishPacket({ topic: 'a/'.repeat(16) }), 'topic_too_deep'],
    ['a topic of 65,535 levels', publishPacket({ topic: '/'.repeat(65_535) }), 'topic_too_long'],
    ['a topic with NUL', publishPacket({ topic: 'iot/\0/x' }), 'bad_text'],
    ['a topic with half a surrogate', publishPacket({ topic: Buffer.from([0xed, 0xa0, 0x80]) }), 'bad_text'],
    ['a topic under $SYS', publishPacket({ topic: '$SYS/broker/uptime' }), 'topic_not_allowed'],
    ['a topic with a wildcard', publishPacket({ topic: 'iot/#' }), 'topic_not_allowed'],
    ['101 topics to subscribe to', subscribe(1, ...Array(101).fill('a')), 'too_many_subscriptions'],
    ['a packet that only a server sends', Buffer.from([0xd0, 0]), 'malformed_packet'],
  ])('%s closes it, is counted, and hits nobody else', async (_what, packet, reason) => {
    const opened = await openGateway({}, { bus: new ForgetfulBus() });
    const [client] = await connectMany(opened, 1);
    client!.send(packet);
    await client!.closed();
    expect(opened.gateway.status().closed).toEqual({ [reason]: 1 });
    expect(opened.gateway.status().ledger.received).toBe(0);
    await leave(opened);
  });
});

describe('Bytes that drip', () => {
  it('of packets that never end: all together are bounded, and who has taken longest goes first', async () => {
    const maxUnfinishedBytes = 4 * 1024 * 1024;
    const opened = await openGateway({ ...quick, maxUnfinishedBytes });
    const observer = await opened.connect({ clientId: 'observer' });
    const part = publishPacket({ payload: 'x'.repeat(200_000) }).subarray(0, 190_000);
    const clients = await connectMany(opened, 60);
    for (const client of clients) {
      client.send(part);
      await eventually(() => client.socket.writableLength === 0, { everyMs: 1 });
      // When this one is answered, that one was read.
      await observer.ping();
    }
    await eventually(() => clients.filter(({ isClosed }) => isClosed).length >= 38);
    expect([clients[0]!.isClosed, clients.at(-1)!.isClosed]).toEqual([true, false]);
    expect(opened.gateway.status().readAheadBytes).toBeLessThanOrEqual(maxUnfinishedBytes);
    expect(Object.keys(opened.gateway.status().closed)).toEqual(['unfinished_packet']);
    await leave(opened, observer, ...clients);
  });

  it('of packets that never end: what has come of them is let go of with their clients', async () => {
    const opened = await openGateway(quick);
    await expectNoTrace(opened, async () => {
      const clients = await connectMany(opened, 60);
      for (const client of clients) client.send(publishPacket({ payload: 'x'.repeat(200_000) }).subarray(0, 190_000));
      await eventually(() => opened.gateway.status().readAheadBytes > 60 * 190_000);
      for (const { socket } of clients) socket.destroy();
    });
  });

  it('of packets that do end: they are taken as any other', async () => {
    const opened = await openGateway();
    const [client] = await connectMany(opened, 1);
    for (const byte of publishPacket({ id: 5 })) {
      client!.send(Buffer.from([byte]));
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(await client!.received(type.puback)).toEqual([5]);
    await leave(opened, client!);
  });
});

describe('Floods', () => {
  it('of SUBSCRIBE and UNSUBSCRIBE: each is refused, and then the client is closed', async () => {
    const opened = await openGateway();
    const [client] = await connectMany(opened, 1);
    const packets = Array.from({ length: 10_000 }, (_, i) =>
      (i % 2 === 0 ? subscribe : unsubscribe)(i + 1, `t/${i}/#`),
    );
    client!.send(...packets.slice(0, 100));
    await client!.received(type.suback, 50);
    expect(client!.packets.filter((packet) => packet.type === type.suback).every(({ last }) => last === 0x80)).toBe(
      true,
    );
    client!.send(...packets.slice(100));
    await client!.closed();
    expect(opened.gateway.status().closed).toEqual({ too_many_subscriptions: 1 });
    await leave(opened);
  });

  it('of retained messages: none is kept', async () => {
    const opened = await openGateway(quick, { bus: new ForgetfulBus() });
    let n = 0;
    const retained = (qos: 0 | 1) => {
      n++;
      return publishPacket({
        qos,
        id: (n % 60_000) + 1,
        topic: `retained/${n}`,
        retain: true,
        payload: 'x'.repeat(10_000),
      });
    };
    await expectNoTrace(opened, async () => {
      const [client] = await connectMany(opened, 1);
      for (const qos of [0, 1] as const) for (let i = 0; i < 1500; i++) client!.send(retained(qos));
      await client!.received(type.puback, 1500);
      client!.socket.destroy();
    });
    expect(opened.gateway.status().ledger.received).toBeGreaterThanOrEqual(6000);
  });

  it('of PINGREQ: each is answered', async () => {
    const opened = await openGateway(quick);
    const [client] = await connectMany(opened, 1);
    client!.send(Buffer.concat(Array.from({ length: 5000 }, pingreq)));
    await client!.received(type.pingresp, 5000);
    await leave(opened, client!);
  });

  it('of wills: each is taken, and no more of them are kept', async () => {
    const bus = new ForgetfulBus();
    const opened = await openGateway(quick, { bus });
    const will = { topic: 'iot/lab/w/telemetry', payload: 'x'.repeat(10_000), qos: 1 };
    await expectNoTrace(opened, async () => {
      for (let round = 0; round < 4; round++) {
        for (const { socket } of await connectMany(opened, 200, { will })) socket.destroy();
        await expectNobodyLeft(opened);
      }
    });
    // And what the healthy client sent.
    await eventually(() => bus.appended >= 1601);
  });
});

describe('Half QoS 2 handshakes', () => {
  const publishes = (count: number) =>
    Array.from({ length: count }, (_, i) => publishPacket({ qos: 2, id: i + 1, payload: 'x'.repeat(20_000) }));

  it('keep no payload while their PUBREL does not come, and nothing when their client is gone', async () => {
    const opened = await openGateway(quick, { bus: new ForgetfulBus() });
    await expectNoTrace(opened, async () => {
      const before = usedBytes();
      const clients = await connectMany(opened, 2);
      for (const client of clients) client.send(...publishes(900));
      for (const client of clients) await client.received(type.pubrec, 900);
      await expectMemoryBack(before);
      for (const { socket } of clients) socket.destroy();
    });
  });

  it('over the limit of one client close it', async () => {
    const opened = await openGateway({ ...quick, maxUnfinishedQos2PerClient: 100 }, { bus: new ForgetfulBus() });
    const [client, other] = await connectMany(opened, 2);
    other!.send(...publishes(100));
    await other!.received(type.pubrec, 100);
    client!.send(...publishes(300));
    await client!.closed();
    expect(opened.gateway.status().closed).toEqual({ too_many_unfinished: 1 });
    await other!.ping();
    await leave(opened, other!);
  });

  it('over the limit of all close who has more than its share', async () => {
    const opened = await openGateway({ ...quick, maxUnfinishedQos2: 200 }, { bus: new ForgetfulBus() });
    const [greedy, ...modest] = await connectMany(opened, 4);
    greedy!.send(...publishes(200));
    await greedy!.received(type.pubrec, 200);
    for (const client of modest) client.send(...publishes(50));
    for (const client of modest) await client.received(type.pubrec, 50);
    greedy!.send(publishPacket({ qos: 2, id: 999 }));
    await greedy!.closed();
    expect(opened.gateway.status().closed).toEqual({ too_many_unfinished: 1 });
    await leave(opened, ...modest);
  });

  it('of persistent sessions whose clients are away are forgotten first', async () => {
    const opened = await openGateway({ ...quick, maxUnfinishedQos2: 200 }, { bus: new ForgetfulBus() });
    for (let i = 0; i < 20; i++) {
      const away = await opened.connect({ clientId: `away${i}`, clean: false });
      away.send(...publishes(50));
      await away.received(type.pubrec, 50);
      away.socket.destroy();
      await expectNobodyLeft(opened);
    }
    const [client, other] = await connectMany(opened, 2);
    // Twice its share: only those that are away can have made room for it.
    client!.send(...publishes(200));
    expect(await client!.received(type.pubrec, 200)).toHaveLength(200);
    await leave(opened, client!, other!);
  });
});

describe('Clients that do not read', () => {
  it('what they subscribed to: there is nothing to read, and nobody waits for them', async () => {
    const opened = await openGateway(quick);
    const [subscriber, publisher] = await connectMany(opened, 2);
    subscriber!.stopReading();
    subscriber!.send(subscribe(1, '#'), subscribe(2, '$SYS/#'));
    publisher!.send(...Array.from({ length: 2000 }, (_, i) => publishPacket({ id: i + 1 })));
    expect(await publisher!.received(type.puback, 2000)).toHaveLength(2000);
    await leave(opened, subscriber!, publisher!);
  });

  it('10,000 acknowledgements of what they sent at once: they come in order, all of them', async () => {
    const opened = await openGateway(quick, { bus: new ForgetfulBus() });
    const [client] = await connectMany(opened, 1);
    client!.stopReading();
    const ids = Array.from({ length: 10_000 }, (_, i) => i + 1);
    client!.send(...ids.map((id) => publishPacket({ id })));
    await eventually(() => opened.gateway.status().ledger.appended === 10_000);
    await expectServed(opened);
    client!.socket.resume();
    expect(await client!.received(type.puback, 10_000)).toEqual(ids);
    await leave(opened, client!);
  });

  it('their acknowledgements at all: no more is taken of them, and they are closed', async () => {
    const opened = await openGateway({ ...quick, maxMessagesPerSecond: 1e9 }, { bus: new ForgetfulBus() });
    await expectNoTrace(opened, async () => {
      const closedBefore = opened.gateway.status().closed.slow_reader ?? 0;
      const [client] = await connectMany(opened, 1);
      const { socket } = client!;
      client!.stopReading();
      // Answers to pings fill what the network keeps, so that those that follow cannot be written.
      const pings = Buffer.alloc(1024 * 1024, pingreq());
      for (let sent = 0; sent < 16; sent++) if (!socket.write(pings)) await once(socket, 'drain');
      const takenBefore = opened.gateway.status().ledger.received;
      client!.send(...Array.from({ length: 60_000 }, (_, i) => publishPacket({ id: i + 1, topic: 'a', payload: '' })));
      await eventually(() => opened.gateway.status().closed.slow_reader === closedBefore + 1, { withinMs: 20_000 });
      expect(opened.gateway.status().ledger.received - takenBefore).toBeLessThan(10_000);
      socket.destroy();
    });
  });
});

describe('A stall of the bus', () => {
  it('under clients that send as fast as they can: memory is bounded, and everything is taken in order after it', async () => {
    const limits = { ...quick, maxHeldMessages: 1000, maxHeldMessagesPerClient: 200, maxReadAheadBytes: 256 * 1024 };
    const opened = await openGateway(limits);
    const hold = opened.bus.hold(raw);
    const clients = await connectMany(opened, 20);
    const ids = Array.from({ length: 2000 }, (_, i) => i + 1);
    for (const client of clients) client.send(...ids.map((id) => publishPacket({ id, payload: 'x'.repeat(100) })));
    await eventually(() => opened.gateway.status().ledger.held >= 1000);
    await eventually(() => opened.gateway.status().readAheadBytes >= limits.maxReadAheadBytes);
    const { ledger, readAheadBytes } = opened.gateway.status();
    expect(ledger.held).toBeLessThanOrEqual(2 * limits.maxHeldMessages);
    // Beyond it by one read of a socket, and a little of each client.
    expect(readAheadBytes).toBeLessThan(limits.maxReadAheadBytes + (80 + clients.length * 6) * 1024);
    hold.release();
    for (const client of clients) expect(await client.received(type.puback, 2000)).toEqual(ids);
    await leave(opened, ...clients);
  });
});
