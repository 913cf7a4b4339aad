import { describe, expect, it } from 'vitest';
import { emptyGatewayLedger } from '../../core/ledger.ts';
import { ReadAhead } from '../../gateway/connection/read-ahead.ts';
import { AckQueue } from '../../gateway/ingest/acks.ts';
import { Caps } from '../../gateway/ingest/caps.ts';
import { eventually } from '../support/eventually.ts';
import { openGateway, raw } from './harness.ts';
import { publishPacket, type } from './raw-client.ts';

const limits = {
  maxHeldMessages: 100,
  maxHeldBytes: 10_000,
  maxHeldMessagesPerClient: 50,
  maxHeldBytesPerClient: 5000,
};

/** Clients that hand on as much as the caps let them, as if the bus stalled. */
function openCaps(count: number) {
  const ledger = emptyGatewayLedger();
  const caps = new Caps(limits, ledger);
  caps.clients = count;
  const clients = Array.from({ length: count }, () => {
    const client = { acks: new AckQueue(), resumed: 0, reader: { resume: () => void client.resumed++ } };
    return client;
  });
  /** Returns how many were taken. */
  const send = (client: (typeof clients)[number], messages: number, { qos = 1 as 0 | 1, payload = 13 } = {}) => {
    const packet = publishPacket({ qos, topic: 'a', payload: 'x'.repeat(payload) });
    const bytes = packet.length;
    const run = { bytes: Buffer.concat(Array.from({ length: messages }, () => packet)), messages, pubrel: null };
    const taken = caps.admit(client, run)[0]?.messages ?? 0;
    for (let i = 0; i < taken; i++) client.acks.add(bytes, 0, () => {});
    ledger.held += taken;
    caps.heldBytes += taken * bytes;
    return taken;
  };
  return { caps, ledger, clients, send };
}

describe('The cap of one client', () => {
  it('takes messages up to it, and not one more', () => {
    const { clients, send, caps } = openCaps(1);
    expect(send(clients[0]!, 60)).toBe(50);
    expect(send(clients[0]!, 1)).toBe(0);
    expect(caps.throttledTimes).toBe(1);
  });

  it('counts bytes too; a message that is larger than it goes alone', () => {
    const { clients, send } = openCaps(2);
    expect(send(clients[0]!, 10, { payload: 990 })).toBe(5);
    expect(send(clients[1]!, 2, { payload: 5001 })).toBe(1);
  });
});

describe('The cap of all clients', () => {
  it('cannot be used up by a few: near it each has its share', () => {
    const { clients, send, caps } = openCaps(10);
    expect(send(clients[0]!, 50)).toBe(50);
    expect(send(clients[1]!, 50)).toBe(50);
    expect(caps.isFull).toBe(true);
    expect(clients.slice(2).map((client) => send(client, 50))).toEqual(Array(8).fill(10));
    expect(send(clients[0]!, 1)).toBe(0);
  });

  it('is exceeded at most once over, whatever clients send', () => {
    const { clients, send, ledger, caps } = openCaps(40);
    for (let round = 0; round < 20; round++) {
      for (const client of clients) send(client, 7, { payload: (round * 37) % 400 });
    }
    expect(ledger.held).toBeLessThanOrEqual(2 * limits.maxHeldMessages);
    expect(caps.heldBytes).toBeLessThanOrEqual(2 * limits.maxHeldBytes);
  });

  it('counts copies of QoS 2 messages, which are not held', () => {
    const { clients, send, caps } = openCaps(10);
    const copies = new AckQueue(caps.acks);
    for (let i = 0; i < 80; i++) copies.add(0, 0, () => {});
    expect(send(clients[0]!, 50)).toBe(10);
  });

  it('lets QoS 0 pass once it is reached, to be dropped', () => {
    const { clients, send, caps } = openCaps(2);
    send(clients[0]!, 50);
    send(clients[1]!, 50);
    expect(caps.isFull).toBe(true);
    expect(send(clients[0]!, 3)).toBe(0);
    expect(send(clients[0]!, 3, { qos: 0 })).toBe(3);
  });

  it('lets clients go on in the order in which they had to wait, for whom there is room', () => {
    const { clients, send, caps, ledger } = openCaps(3);
    for (const client of clients) send(client, 60);
    for (const client of clients) send(client, 1);
    ledger.held = 0;
    caps.heldBytes = 0;
    const [first, second] = clients;
    first!.acks.messages = first!.acks.bytes = 0;
    caps.resume();
    expect(clients.map(({ resumed }) => resumed)).toEqual([1, 0, 1]);
    second!.acks.messages = second!.acks.bytes = 0;
    caps.resume();
    expect(clients.map(({ resumed }) => resumed)).toEqual([1, 1, 1]);
  });
});

describe('ReadAhead', () => {
  it('gives up the packet that has been unfinished the longest', () => {
    const readAhead = new ReadAhead({ maxReadAheadBytes: 1000, maxUnfinishedBytes: 100 });
    const cut: string[] = [];
    const senderOf = (name: string) => ({ cut: () => void cut.push(name) });
    const [a, b, c] = ['a', 'b', 'c'].map(senderOf);
    readAhead.unfinished(a!, 40, true);
    readAhead.unfinished(b!, 40, true);
    readAhead.unfinished(a!, 10, true);
    readAhead.unfinished(c!, 45, true);
    expect(cut).toEqual([]);
    readAhead.unfinished(c!, 60, false);
    expect(cut).toEqual(['b']);
    expect(readAhead.bytes).toBe(70);
    readAhead.unfinished(a!, 0, false);
    readAhead.unfinished(c!, 0, true);
    expect(readAhead.bytes).toBe(0);
  });

  it('is shared by all clients: at its bound sockets are not read, and nothing is lost', async () => {
    const limit = { maxReadAheadBytes: 20_000, maxHeldMessagesPerClient: 1 };
    const { bus, connect, gateway, received } = await openGateway(limit);
    const hold = bus.hold(raw);
    const clients = await Promise.all(Array.from({ length: 10 }, (_, i) => connect({ clientId: `c${i}` })));
    const large = Array.from({ length: 30 }, (_, i) => publishPacket({ id: i + 1, payload: 'x'.repeat(1000) }));
    for (const client of clients) client.send(...large);
    await received(10);
    await eventually(() => gateway.status().readAheadBytes > limit.maxReadAheadBytes);
    // Beyond it by one read of a socket, and a little of each client.
    expect(gateway.status().readAheadBytes).toBeLessThan(limit.maxReadAheadBytes + (80 + clients.length * 6) * 1024);
    hold.release();
    for (const client of clients) expect(await client.received(type.puback, 30)).toHaveLength(30);
    await eventually(() => gateway.status().readAheadBytes === 0);
  });
});
