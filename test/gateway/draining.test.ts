import { describe, expect, it } from 'vitest';
import { headers } from '../../core/topics.ts';
import { eventually } from '../support/eventually.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { openGateway, payloads, raw, topics } from './harness.ts';
import { connectPacket, publishPacket, RawClient, type } from './raw-client.ts';

describe('Closing', () => {
  it('makes what is held durable, acknowledges it, closes every client and appends their wills', async () => {
    const { bus, connect, gateway, received, messages } = await openGateway();
    const hold = bus.hold(raw);
    const will = { topic: 'iot/lab/d1/telemetry', payload: '{"will":1}', qos: 0 };
    const client = await connect({ will });
    client.send(publishPacket({ id: 1 }), publishPacket({ id: 2 }));
    await received(2);
    const closed = gateway.close(5000);
    expect(gateway.ready()).toEqual(['gateway: draining']);
    hold.release();
    await closed;
    expect(await client.received(type.puback, 2)).toEqual([1, 2]);
    await client.closed();
    expect(payloads(messages())).toEqual(['{"t":1}', '{"t":1}', '{"will":1}']);
    const last = JSON.parse(String(bus.records(topics.deviceStatus).at(-1)!.value));
    expect(last).toMatchObject({ status: 'offline', reason: 'gateway_closed' });
  });

  it('takes no new clients and reads nothing more, and still answers pings', async () => {
    const { bus, connect, gateway, received, port } = await openGateway();
    const hold = bus.hold(raw);
    const client = await connect();
    client.send(publishPacket({ id: 1 }));
    await received(1);
    const closed = gateway.close(5000);
    client.send(publishPacket({ id: 2 }));
    await client.ping();
    expect(gateway.status().ledger.received).toBe(1);
    await expect(RawClient.open(port)).rejects.toThrow('ECONNREFUSED');
    hold.release();
    await closed;
    expect(client.ids(type.puback)).toEqual([1]);
  });

  it('says how many messages were not acknowledged when the bus takes none within the deadline', async () => {
    const { bus, connect, gateway, received } = await openGateway();
    bus.fail(raw);
    const client = await connect();
    client.send(publishPacket({ id: 1 }));
    await received(1);
    const failure = { code: 'CLOSE_TIMEOUT', message: expect.stringContaining('1 messages') };
    await expect(gateway.close(200)).rejects.toMatchObject(failure);
    await client.closed();
    expect(client.ids(type.puback)).toEqual([]);
  });

  it('is idempotent, and closes a gateway that never started', async () => {
    const { gateway } = await openGateway();
    await Promise.all([gateway.close(1000), gateway.close(1000)]);
    await gateway.close(1000);
  });

  it('ends a connection that had sent no CONNECT', async () => {
    const { gateway, port } = await openGateway();
    const client = await RawClient.open(port);
    client.send(connectPacket().subarray(0, 4));
    await gateway.close(1000);
    await client.closed();
  });
});

describe('Ticks', () => {
  it('go to each partition that was given nothing for a while, once, and to no other', async () => {
    const clock = new ManualClock();
    const startedAtMs = clock.nowMs();
    const { bus, connect, received } = await openGateway({ tickAfterMs: 2000, lingerMs: 0 }, { clock });
    const ticks = () => bus.records(topics.raw).filter(({ headers: names }) => names[headers.tick] === '1');
    clock.advance(1500);
    const client = await connect();
    client.send(publishPacket({ qos: 0 }));
    await received(1);
    await eventually(() => bus.records(topics.raw).length === 1);
    const { partition } = bus.records(topics.raw)[0]!;
    clock.advance(500);
    await eventually(() => ticks().length === 3);
    expect(ticks().map((tick) => tick.partition)).not.toContain(partition);
    expect(ticks()[0]).toMatchObject({ key: '', value: null, timestampMs: startedAtMs + 2000 });
    clock.advance(1500);
    await eventually(() => ticks().length === 4);
    expect(ticks().at(-1)).toMatchObject({ partition });
  });

  it('do not pile up while the bus stalls', async () => {
    const clock = new ManualClock();
    const { bus } = await openGateway({ tickAfterMs: 2000, lingerMs: 0 }, { clock });
    const hold = bus.hold(raw);
    for (let i = 0; i < 20; i++) clock.advance(2000);
    await eventually(() => hold.waiting.length === 1);
    hold.release();
    await eventually(() => bus.records(topics.raw).length === 4);
  });
});
