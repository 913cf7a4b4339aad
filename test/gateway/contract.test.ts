/** The table "When a message is acknowledged" of docs/gateway.md, where no other suite holds it. */
import { describe, expect, it } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { counters, openGateway, payloads, raw } from './harness.ts';
import { frame, publishPacket, pubrel, subscribe, type } from './raw-client.ts';

const unsuback = 11;
const unsubscribe = (id: number, topic: string) =>
  frame(0xa2, Buffer.from([id >> 8, id & 0xff, 0, topic.length]), Buffer.from(topic));

describe('QoS 0', () => {
  it('is never acknowledged, and appended with what came around it', async () => {
    const { connect, appended } = await openGateway();
    const client = await connect();
    client.send(publishPacket({ id: 1, payload: 'a' }), publishPacket({ qos: 0, payload: 'b' }));
    client.send(publishPacket({ id: 2, payload: 'c' }));
    expect(await client.received(type.puback, 2)).toEqual([1, 2]);
    expect(payloads(await appended(3))).toEqual(['a', 'b', 'c']);
  });
});

describe('QoS 1', () => {
  it('is appended and acknowledged again when it comes again, DUP or not', async () => {
    const { connect, appended } = await openGateway();
    const client = await connect();
    for (const dup of [false, true, false]) client.send(publishPacket({ id: 9, dup, payload: 'same' }));
    expect(await client.received(type.puback, 3)).toEqual([9, 9, 9]);
    const records = await appended(3);
    expect(payloads(records)).toEqual(['same', 'same', 'same']);
    expect(counters(records), 'each under an id of its own').toEqual([1, 2, 3]);
  });
});

describe('QoS 2', () => {
  it('PUBREL is answered whether its packet id is known or not, each time', async () => {
    const { connect, messages } = await openGateway();
    const client = await connect();
    client.send(pubrel(77));
    expect(await client.received(type.pubcomp)).toEqual([77]);
    client.send(publishPacket({ qos: 2, id: 5 }));
    await client.received(type.pubrec);
    client.send(pubrel(5), pubrel(5));
    expect(await client.received(type.pubcomp, 3)).toEqual([77, 5, 5]);
    expect(messages()).toHaveLength(1);
  });

  it('a copy that comes to another gateway is another message: what is taken is known to one process', async () => {
    const [one, other] = [await openGateway(), await openGateway()];
    for (const { connect, appended } of [one, other]) {
      const client = await connect({ clean: false });
      client.send(publishPacket({ qos: 2, id: 3, dup: true }));
      expect(await client.received(type.pubrec)).toEqual([3]);
      await appended(1);
    }
  });

  it('copies on two connections are answered on both when the first is durable', async () => {
    const { bus, connect, appended, received, gateway } = await openGateway();
    const hold = bus.hold(raw);
    const first = await connect({ clean: false });
    first.send(publishPacket({ qos: 2, id: 3 }));
    await received(1);
    const second = await connect({ clean: false });
    await first.closed();
    second.send(publishPacket({ qos: 2, id: 3, dup: true }), publishPacket({ id: 4, payload: 'next' }));
    await received(2);
    hold.release();
    expect(await second.received(type.pubrec)).toEqual([3]);
    expect(await second.received(type.puback)).toEqual([4]);
    expect(payloads(await appended(2))).toEqual(['{"t":1}', 'next']);
    expect(gateway.status().ledger).toMatchObject({ received: 2, appended: 2, held: 0 });
  });
});

describe('Retained messages and subscriptions', () => {
  it('nothing is kept for a subscriber: SUBACK 0x80, and the connection goes on', async () => {
    const { connect, appended } = await openGateway();
    const client = await connect();
    client.send(publishPacket({ id: 1, retain: true }));
    await client.received(type.puback);
    const other = await connect({ clientId: 'other' });
    other.send(subscribe(2, 'iot/#'));
    await other.received(type.suback);
    expect(other.packets.at(-1)!.last).toBe(0x80);
    other.send(unsubscribe(3, 'iot/#'));
    expect(await other.received(unsuback)).toEqual([3]);
    other.send(publishPacket({ id: 4 }));
    expect(await other.received(type.puback)).toEqual([4]);
    await appended(2);
    const publish = 3;
    expect(other.ids(publish), 'messages given to it').toEqual([]);
  });
});

describe('Wills', () => {
  it.each([0, 1, 2])('at QoS %i are appended once when the client is lost, also by the gateway', async (qos) => {
    const { connect, appended, gateway } = await openGateway();
    const will = { topic: 'iot/lab/d1/telemetry', payload: '{"gone":1}', qos };
    const client = await connect({ will });
    // A second CONNECT is an error, for which the gateway ends the client.
    client.send(frame(0x10, Buffer.from([0, 4, 0x4d, 0x51, 0x54, 0x54, 4, 2, 0, 60, 0, 0])));
    await client.closed();
    expect(payloads(await appended(1))).toEqual(['{"gone":1}']);
    await eventually(() => gateway.status().ledger.held === 0);
    expect(gateway.status().ledger.received).toBe(1);
  });
});
