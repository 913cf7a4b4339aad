import { describe, expect, it } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { counters, openGateway, payloads, raw } from './harness.ts';
import { connectPacket, publishPacket, RawClient, type } from './raw-client.ts';

const publishes = (count: number, from = 1) =>
  Array.from({ length: count }, (_, i) => publishPacket({ id: from + i, payload: `{"n":${from + i}}` }));

describe('While the bus stalls', () => {
  it('answers pings, also behind held messages, and does not end the client', async () => {
    const clock = new ManualClock();
    const { bus, connect, received, appended } = await openGateway({}, { clock });
    const hold = bus.hold(raw);
    const client = await connect({ keepaliveSeconds: 10 });
    client.send(...publishes(20));
    await received(20);
    for (let second = 0; second < 60; second++) {
      if (second % 5 === 0) await client.ping();
      clock.advance(1000);
    }
    expect(client.isClosed).toBe(false);
    hold.release();
    await eventually(() => {
      clock.advance(10);
      return client.ids(type.puback).length === 20;
    });
    expect(client.ids(type.puback)).toEqual(Array.from({ length: 20 }, (_, i) => i + 1));
    await appended(20);
  });

  it('reads no more from a client over its cap, tells it, and goes on when there is room', async () => {
    const { bus, connect, received, appended, gateway } = await openGateway({ maxHeldMessagesPerClient: 10 });
    const hold = bus.hold(raw);
    const greedy = await connect({ clientId: 'greedy' });
    const modest = await connect({ clientId: 'modest' });
    // One by one, so that the broker asks for more after each.
    for (const publish of publishes(50)) {
      greedy.send(publish);
      await new Promise((resolve) => setImmediate(resolve));
    }
    await eventually(() => gateway.status().throttled === 1, { what: 'the client is throttled' });
    modest.send(publishPacket({ id: 1, payload: '{"modest":1}' }));
    await eventually(() => gateway.status().ledger.received >= 11);
    const before = gateway.status().ledger.received;
    // What the broker had been given already is taken; then nothing more of the greedy one.
    await modest.ping();
    expect(before).toBeLessThan(50);
    hold.release();
    await received(51);
    expect(counters(await appended(51))).toEqual(Array.from({ length: 51 }, (_, i) => i + 1));
    expect((await greedy.received(type.puback, 50)).length).toBe(50);
  });

  it('drops QoS 0 over the cap of all clients and counts it, refuses new clients and is not ready', async () => {
    const { bus, connect, received, appended, gateway, port } = await openGateway({ maxHeldMessages: 5 });
    const hold = bus.hold(raw);
    const client = await connect();
    client.send(...publishes(5));
    await received(5);
    expect(gateway.ready()).toContain('gateway: holds as many messages as it may');
    const other = await RawClient.open(port);
    other.send(connectPacket({ clientId: 'late' }));
    expect(await other.received(type.connack)).toEqual([3]);
    await other.closed();
    hold.release();
    await client.received(type.puback, 5);
    expect(gateway.ready()).toEqual([]);
    expect(payloads(await appended(5))).toHaveLength(5);
  });

  it('drops QoS 0 over the cap, whoever it comes from, and not a message of QoS 1', async () => {
    const { bus, connect, received, gateway } = await openGateway({ maxHeldMessages: 3 });
    const hold = bus.hold(raw);
    const quiet = await connect({ clientId: 'quiet' });
    const client = await connect();
    client.send(...publishes(3));
    await received(3);
    quiet.send(publishPacket({ qos: 0 }), publishPacket({ qos: 0 }), publishPacket({ qos: 1, id: 9 }));
    await received(6);
    expect(gateway.status().ledger.dropped).toEqual({ qos0_over_cap: 2 });
    hold.release();
    expect(await quiet.received(type.puback)).toEqual([9]);
  });

  it('appends the very same batch again, before anything newer of its lane, and acknowledges once', async () => {
    const { bus, connect, appended, gateway } = await openGateway();
    const stopFailing = bus.fail(raw);
    const client = await connect();
    client.send(...publishes(3));
    await eventually(() => bus.calls.filter(({ topic }) => raw(topic)).length >= 2);
    client.send(...publishes(3, 4));
    await eventually(() => gateway.ready().some((problem) => problem.startsWith('bus: ')));
    stopFailing();
    expect(counters(await appended(6))).toEqual([1, 2, 3, 4, 5, 6]);
    const [first, second] = bus.calls.filter(({ topic }) => raw(topic));
    expect(second!.records).toBe(first!.records);
    expect(await client.received(type.puback, 6)).toEqual([1, 2, 3, 4, 5, 6]);
    await eventually(() => gateway.ready().length === 0);
  });

  it('says that nothing became durable, though the bus said nothing', async () => {
    const clock = new ManualClock();
    const { bus, connect, received, gateway } = await openGateway({ lingerMs: 0 }, { clock });
    const hold = bus.hold(raw);
    const client = await connect();
    client.send(...publishes(1));
    await received(1);
    await eventually(() => hold.waiting.length === 1);
    expect(gateway.ready()).toEqual([]);
    clock.advance(3000);
    expect(gateway.ready()).toEqual(['bus: nothing became durable for 3 s']);
    hold.release();
    await eventually(() => gateway.ready().length === 0);
  });
});

describe('What the bus refuses for good', () => {
  it('goes to the DLQ with its reason and bytes, is acknowledged and counted; the others are appended', async () => {
    const { bus, connect, appended, gateway } = await openGateway();
    bus.refuse((topic, { value }) => (raw(topic) && String(value).includes('bad') ? 'MESSAGE_TOO_LARGE' : null));
    const client = await connect();
    client.send(publishPacket({ id: 1 }), publishPacket({ id: 2, payload: 'bad' }), publishPacket({ id: 3 }));
    expect(await client.received(type.puback, 3)).toEqual([1, 2, 3]);
    await appended(2);
    const [letter] = bus.records('iot.telemetry.dlq.v1');
    expect(String(letter!.value)).toBe('bad');
    expect(letter!.headers).toMatchObject({
      'dlq.reason': 'not_appendable',
      'dlq.error': 'MESSAGE_TOO_LARGE',
      'source.topic': 'iot.telemetry.raw.v1',
      'mqtt.topic': 'iot/lab/d1/telemetry',
    });
    expect(gateway.status().ledger).toMatchObject({ received: 3, appended: 2, dropped: { not_appendable: 1 } });
  });

  it('is not acknowledged before the DLQ has it', async () => {
    const { bus, connect } = await openGateway();
    bus.refuse((topic) => (raw(topic) ? 'MESSAGE_TOO_LARGE' : null));
    const hold = bus.hold((topic) => topic === 'iot.telemetry.dlq.v1');
    const client = await connect();
    client.send(publishPacket({ id: 1 }));
    await eventually(() => hold.waiting.length === 1);
    await client.ping();
    expect(client.ids(type.puback)).toEqual([]);
    hold.release();
    expect(await client.received(type.puback)).toEqual([1]);
  });
});
