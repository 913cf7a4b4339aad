import mqtt from 'mqtt';
import { describe, expect, it, onTestFinished } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { type Opened, openGateway } from './harness.ts';
import { frame, publishPacket, subscribe, type, unsubscribe } from './raw-client.ts';

const commands = 'iot/lab/d1/commands';
const publish = 3;

/** One that acknowledges by itself what it is sent. */
async function subscriber({ port }: Opened, clientId: string) {
  const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${port}`, { clientId, reconnectPeriod: 0 });
  onTestFinished(() => void client.end(true));
  const messages: string[] = [];
  client.on('message', (topic, payload) => void messages.push(`${topic} ${payload}`));
  return { client, messages };
}

/** The packet id of a PUBLISH of which the whole packet is shorter than 130 bytes. */
function packetIdOf(bytes: Buffer): number {
  return bytes.readUInt16BE(4 + bytes.readUInt16BE(2));
}

describe('A message to a device', () => {
  it('comes to who subscribed, and is acknowledged', async () => {
    const opened = await openGateway();
    const { client, messages } = await subscriber(opened, 'd1');
    expect(await client.subscribeAsync(commands, { qos: 1 })).toMatchObject([{ qos: 1 }]);
    const results = ['a', 'b'].map((text) => opened.gateway.deliver(commands, Buffer.from(text)));
    expect(await Promise.all(results)).toEqual(['acknowledged', 'acknowledged']);
    expect(messages).toEqual([`${commands} a`, `${commands} b`]);
    const long = 'x'.repeat(20_000);
    expect(await opened.gateway.deliver(commands, Buffer.from(long))).toBe('acknowledged');
    expect(messages.at(-1)).toBe(`${commands} ${long}`);
    expect(await opened.gateway.deliver('iot/lab/d2/commands', Buffer.from('c'))).toBe('gone');
    await client.unsubscribeAsync(commands);
    expect(await opened.gateway.deliver(commands, Buffer.from('d'))).toBe('gone');
  });

  it('is acknowledged also while messages of the device are held', async () => {
    const opened = await openGateway();
    const { client } = await subscriber(opened, 'd1');
    await client.subscribeAsync(commands, { qos: 1 });
    const hold = opened.bus.hold(() => true);
    for (let i = 0; i < 10; i++) client.publish('iot/lab/d1/telemetry', '{"t":1}', { qos: 1 });
    await opened.received(10);
    expect(await opened.gateway.deliver(commands, Buffer.from('a'))).toBe('acknowledged');
    hold.release();
  });

  it('is gone when its connection ends without a PUBACK, and one that another acknowledges is not', async () => {
    const opened = await openGateway();
    const silent = await opened.connect({ clientId: 'a' });
    silent.send(subscribe(1, commands));
    await silent.received(type.suback);
    expect(silent.packets.at(-1)!.last).toBe(1);
    const alone = opened.gateway.deliver(commands, Buffer.from('1'));
    await silent.received(publish);
    const { client } = await subscriber(opened, 'b');
    await client.subscribeAsync(commands, { qos: 1 });
    expect(await opened.gateway.deliver(commands, Buffer.from('2'))).toBe('acknowledged');
    silent.socket.destroy();
    expect(await alone).toBe('gone');
  });

  it('is told apart from others by its packet id, and acknowledged once', async () => {
    const opened = await openGateway();
    const client = await opened.connect({ clientId: 'a' });
    client.send(subscribe(1, commands));
    await client.received(type.suback);
    const bytes: Buffer[] = [];
    client.socket.on('data', (chunk: Buffer) => void bytes.push(chunk));
    const first = opened.gateway.deliver(commands, Buffer.from('1'));
    await eventually(() => bytes.length === 1);
    const second = opened.gateway.deliver(commands, Buffer.from('2'));
    await eventually(() => bytes.length === 2);
    const [id1, id2] = bytes.map(packetIdOf);
    client.send(puback(id2!), puback(id2!), puback(999));
    expect(await second).toBe('acknowledged');
    client.send(puback(id1!));
    expect(await first).toBe('acknowledged');
    client.send(publishPacket({ id: 7 }));
    expect(await client.received(type.puback)).toEqual([7]);
  });

  it('is not sent to who leaves a hundred unacknowledged', async () => {
    const opened = await openGateway();
    const client = await opened.connect({ clientId: 'a' });
    client.send(subscribe(1, commands));
    await client.received(type.suback);
    const results = Array.from({ length: 101 }, () => opened.gateway.deliver(commands, Buffer.from('x')));
    expect(await results.at(-1)).toBe('gone');
    await client.received(publish, 100);
    client.socket.destroy();
    expect(new Set(await Promise.all(results))).toEqual(new Set(['gone']));
  });

  it('comes from the gateway alone: what others publish there goes to the bus', async () => {
    const opened = await openGateway();
    const { client, messages } = await subscriber(opened, 'd1');
    await client.subscribeAsync(commands, { qos: 1 });
    const other = await opened.connect({ clientId: 'x' });
    other.send(publishPacket({ topic: commands, payload: 'forged' }));
    await other.received(type.puback);
    expect(await opened.gateway.deliver(commands, Buffer.from('real'))).toBe('acknowledged');
    expect(messages).toEqual([`${commands} real`]);
  });

  it.each([
    ['at QoS 0', commands, 0],
    ['with a wildcard', 'iot/lab/+/commands', 1],
    ['to telemetry', 'iot/lab/d1/telemetry', 1],
  ])('cannot be asked for %s', async (_what, topic, qos) => {
    const { connect } = await openGateway();
    const client = await connect({ clientId: 'a' });
    client.send(frame(0x82, Buffer.from([0, 1, 0, topic.length]), Buffer.from(topic), Buffer.from([qos])));
    await client.received(type.suback);
    expect(client.packets.at(-1)!.last).toBe(0x80);
    client.send(unsubscribe(2, topic));
    await client.ping();
  });
});

function puback(id: number): Buffer {
  return frame(0x40, Buffer.from([id >> 8, id & 0xff]));
}
