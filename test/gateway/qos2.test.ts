import { describe, expect, it } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { openGateway, payloads, raw } from './harness.ts';
import { publishPacket, pubrel, type } from './raw-client.ts';

describe('QoS 2: a packet id is taken once until its PUBREL [MQTT-4.3.3-2]', () => {
  it('takes a copy that comes while the first is held only once, and answers both', async () => {
    const { bus, connect, appended, received } = await openGateway();
    const hold = bus.hold(raw);
    const client = await connect();
    client.send(publishPacket({ qos: 2, id: 1 }), publishPacket({ qos: 2, id: 1, dup: true }));
    await received(1);
    await client.ping();
    hold.release();
    await client.received(type.pubrec, 2);
    await appended(1);
    client.send(pubrel(1));
    expect(await client.received(type.pubcomp)).toEqual([1]);
    expect(await appended(1)).toHaveLength(1);
  });

  it('takes a copy that comes after the PUBREC only once', async () => {
    const { connect, messages } = await openGateway();
    const client = await connect();
    client.send(publishPacket({ qos: 2, id: 1 }));
    await client.received(type.pubrec);
    client.send(publishPacket({ qos: 2, id: 1, dup: true }));
    await client.received(type.pubrec, 2);
    expect(messages()).toHaveLength(1);
  });

  it('takes the same id again after the PUBREL: it is another message', async () => {
    const { connect, appended } = await openGateway();
    const client = await connect();
    for (const payload of ['{"n":1}', '{"n":2}']) {
      const before = client.ids(type.pubcomp).length;
      client.send(publishPacket({ qos: 2, id: 7, payload }));
      await client.received(type.pubrec, before + 1);
      client.send(pubrel(7));
      await client.received(type.pubcomp, before + 1);
    }
    expect(payloads(await appended(2))).toEqual(['{"n":1}', '{"n":2}']);
  });

  it('knows a copy on the next connection of a persistent session, also of a message that is still held', async () => {
    const { bus, connect, appended, received, gateway } = await openGateway();
    const hold = bus.hold(raw);
    const first = await connect({ clean: false });
    first.send(publishPacket({ qos: 2, id: 3, payload: '{"n":3}' }));
    await received(1);
    first.socket.destroy();
    await eventually(() => gateway.status().clients === 0);
    const second = await connect({ clean: false });
    second.send(publishPacket({ qos: 2, id: 3, payload: '{"n":3}', dup: true }));
    await second.ping();
    hold.release();
    expect(await second.received(type.pubrec)).toEqual([3]);
    expect(await appended(1)).toHaveLength(1);
    expect(gateway.status().ledger.received).toBe(1);
  });

  it('takes another message under an inherited id: in doubt twice, never lost', async () => {
    const { connect, appended } = await openGateway();
    const first = await connect({ clean: false });
    first.send(publishPacket({ qos: 2, id: 3, payload: '{"n":1}' }));
    await first.received(type.pubrec);
    first.socket.destroy();
    const second = await connect({ clean: false });
    second.send(publishPacket({ qos: 2, id: 3, payload: '{"n":2}' }));
    await second.received(type.pubrec);
    expect(payloads(await appended(2))).toEqual(['{"n":1}', '{"n":2}']);
  });

  it('forgets the ids of a clean session with its connection [MQTT-3.1.2-6]', async () => {
    const { connect, appended } = await openGateway();
    for (let connection = 0; connection < 2; connection++) {
      const client = await connect({ clean: true });
      client.send(publishPacket({ qos: 2, id: 3 }));
      await client.received(type.pubrec);
      client.socket.destroy();
      await client.closed();
    }
    expect(await appended(2)).toHaveLength(2);
  });
});
