import { createServer } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { silentLogger } from '../../core/log.ts';
import { eventually } from '../support/eventually.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { openGateway, payloads, raw, topics } from './harness.ts';
import { connectPacket, disconnect, frame, publishPacket, RawClient, type } from './raw-client.ts';

describe('Who may connect', () => {
  const credentials = { username: 'fleet', password: 'secret' };

  it('takes the right credentials and refuses any other with return code 4', async () => {
    const { port, connect } = await openGateway({ credentials });
    await connect({ credentials });
    for (const wrong of [undefined, { ...credentials, password: 'guess' }, { ...credentials, username: 'other' }]) {
      const client = await RawClient.open(port);
      client.send(connectPacket(wrong === undefined ? {} : { credentials: wrong }));
      expect(await client.received(type.connack)).toEqual([4]);
      await client.closed();
    }
  });

  it('does not start off the loopback address without credentials, and says how to', async () => {
    await expect(openGateway({ host: '0.0.0.0' })).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringMatching(/SLUICE_MQTT_USERNAME.*--insecure/),
    });
    await openGateway({ host: '0.0.0.0', credentials });
    await openGateway({ host: '0.0.0.0', insecure: true });
  });

  it('lets in who shows no name where that is allowed, and still nobody with a wrong password', async () => {
    const { port, connect, gateway } = await openGateway({ credentials, anonymous: true });
    expect(gateway.status().anonymous).toBe(true);
    await connect();
    await connect({ clientId: 'fleet', credentials });
    const client = await RawClient.open(port);
    client.send(connectPacket({ clientId: 'guess', credentials: { ...credentials, password: 'guess' } }));
    expect(await client.received(type.connack)).toEqual([4]);
    const anywhere = { host: '0.0.0.0', credentials, anonymous: true };
    await expect(openGateway(anywhere)).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringMatching(/SLUICE_MQTT_ANONYMOUS.*--insecure/),
    });
    await openGateway({ ...anywhere, insecure: true });
  });

  it('says which address is taken and how to choose another', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    onTestFinished(() => void other.close());
    await eventually(() => other.listening);
    const { port } = other.address() as { port: number };
    await expect(openGateway({ port })).rejects.toMatchObject({
      code: 'LISTEN_FAILED',
      message: expect.stringContaining('SLUICE_MQTT_PORT'),
    });
  });

  it('refuses MQTT 5 with return code 1, and says once in the log what to do', async () => {
    const warnings: string[] = [];
    const log = { ...silentLogger, warn: (_fields: object, message: string) => void warnings.push(message) };
    const { port } = await openGateway({}, { log });
    for (let i = 0; i < 2; i++) {
      const client = await RawClient.open(port);
      client.send(connectPacket({ protocolLevel: 5 }));
      expect(await client.received(type.connack)).toEqual([1]);
      await client.closed();
    }
    expect(warnings.filter((message) => message.includes('MQTT 5'))).toHaveLength(1);
  });

  it('closes a connection that sends no CONNECT in time', async () => {
    const { port } = await openGateway({ connectTimeoutMs: 100 });
    const client = await RawClient.open(port);
    client.send(connectPacket().subarray(0, 5));
    await client.closed();
  });

  it('closes connections over the limit and leaves those that are there', async () => {
    const { port, connect } = await openGateway({ maxConnections: 2 });
    const first = await connect({ clientId: 'a' });
    await connect({ clientId: 'b' });
    const third = await RawClient.open(port);
    await third.closed();
    await first.ping();
  });

  it('lets the newer of two clients with one id stay', async () => {
    const { connect, gateway } = await openGateway();
    const older = await connect({ clientId: 'same' });
    const newer = await connect({ clientId: 'same' });
    await older.closed();
    await newer.ping();
    await eventually(() => gateway.status().clients === 1);
  });
});

describe('Packets that may not be', () => {
  it('closes a client at the header of a packet over the limit, and keeps nothing of it', async () => {
    const { connect, gateway } = await openGateway({ maxPacketBytes: 1000 });
    const client = await connect();
    client.send(publishPacket({ payload: 'x'.repeat(2000) }).subarray(0, 10));
    await client.closed();
    expect(gateway.status().ledger.received).toBe(0);
  });

  it.each([
    ['a packet of type 0', frame(0x00)],
    ['a PUBLISH with QoS 3', frame(0x36, Buffer.from([0, 1, 0x61, 0, 1]))],
    ['a PUBLISH to a topic with a wildcard', publishPacket({ topic: 'iot/+/x/telemetry' })],
    ['a second CONNECT', connectPacket()],
    ['a remaining length of five bytes', Buffer.from([0x30, 0xff, 0xff, 0xff, 0xff, 0x01])],
  ])('closes a client that sends %s, and nobody else', async (_what, packet) => {
    const { connect } = await openGateway();
    const good = await connect({ clientId: 'good' });
    const bad = await connect({ clientId: 'bad' });
    bad.send(packet);
    await bad.closed();
    good.send(publishPacket({ id: 4 }));
    expect(await good.received(type.puback)).toEqual([4]);
  });
});

describe('Keepalive [MQTT-3.1.2-24]', () => {
  it('closes a client that is silent for one and a half times its keepalive, and tells that it is offline', async () => {
    const clock = new ManualClock();
    const { connect, bus, received } = await openGateway({ lingerMs: 0 }, { clock });
    const client = await connect({ keepaliveSeconds: 10 });
    client.send(publishPacket({ qos: 0 }));
    await received(1);
    clock.advance(14_000);
    await client.ping();
    // The sweep notices a byte within a second.
    clock.advance(17_000);
    await client.closed();
    const statuses = await eventually(() => {
      clock.advance(200);
      const told = bus.records(topics.deviceStatus).map(({ value }) => JSON.parse(String(value)));
      return told.length === 2 ? told : undefined;
    });
    expect(statuses).toMatchObject([
      { site: 'lab', device: 'd1', status: 'online' },
      { status: 'offline', reason: 'keepalive_timeout', clientId: 'd1' },
    ]);
  });

  it('gives a client that asks for none the longest there is', async () => {
    const clock = new ManualClock();
    const { connect } = await openGateway({ maxKeepaliveMs: 20_000 }, { clock });
    const client = await connect({ keepaliveSeconds: 0 });
    clock.advance(29_000);
    await client.ping();
    clock.advance(32_000);
    await client.closed();
  });
});

describe('A will', () => {
  const will = { topic: 'iot/lab/d1/telemetry', payload: '{"gone":1}', qos: 1 };

  it('is appended when the connection is lost', async () => {
    const { connect, appended } = await openGateway();
    const client = await connect({ will });
    client.socket.destroy();
    expect(payloads(await appended(1))).toEqual(['{"gone":1}']);
  });

  it('is not when the client says goodbye', async () => {
    const { connect, gateway, messages } = await openGateway();
    const client = await connect({ will });
    client.send(disconnect());
    await client.closed();
    await eventually(() => gateway.status().clients === 0);
    expect(messages()).toEqual([]);
  });
});

describe('Device status', () => {
  it('tells online once, and offline with the reason; a device that moved to another connection stays online', async () => {
    const { connect, bus, received } = await openGateway();
    const told = () => bus.records(topics.deviceStatus).map(({ key, value }) => [key, JSON.parse(String(value))]);
    const first = await connect({ clientId: 'a' });
    first.send(publishPacket({ id: 1 }), publishPacket({ id: 2 }));
    await first.received(type.puback, 2);
    await eventually(() => told().length === 1);
    const second = await connect({ clientId: 'b' });
    second.send(publishPacket({ id: 1 }));
    await received(3);
    first.send(disconnect());
    await first.closed();
    second.send(disconnect());
    const statuses = await eventually(() => (told().length === 2 ? told() : undefined));
    expect(statuses).toMatchObject([
      ['lab/d1', { status: 'online', reason: 'message', clientId: 'a' }],
      ['lab/d1', { status: 'offline', reason: 'disconnected', clientId: 'b' }],
    ]);
  });

  it('waits for nothing of it: telemetry flows while it cannot be told', async () => {
    const { connect, bus } = await openGateway();
    bus.fail((topic) => !raw(topic));
    const client = await connect();
    client.send(publishPacket({ id: 1 }));
    expect(await client.received(type.puback)).toEqual([1]);
  });
});
