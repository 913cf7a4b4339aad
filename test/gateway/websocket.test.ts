import mqtt from 'mqtt';
import { describe, expect, it, onTestFinished } from 'vitest';
import { WebSocket } from 'ws';
import type { GatewayOptions } from '../../gateway/options.ts';
import { eventually } from '../support/eventually.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { type Opened, openGateway } from './harness.ts';
import { openWebSocket } from './http-fixture.ts';
import { connectPacket, pingreq, publishPacket } from './raw-client.ts';

interface OpenedWeb extends Opened {
  readonly url: string;
}

/** The gateway and the HTTP side of its process, as `pipeline.ts` puts them together. */
async function openWeb(options: Partial<GatewayOptions> = {}, clock?: ManualClock): Promise<OpenedWeb> {
  const opened = await openGateway(options, clock === undefined ? {} : { clock });
  return { ...opened, url: await openWebSocket(opened.gateway) };
}

/** What comes back, as one buffer, and whether it is closed. */
async function open(url: string, { protocol = 'mqtt', headers = {} } = {}) {
  const socket = new WebSocket(url, protocol, { headers });
  onTestFinished(() => socket.terminate());
  const state = { socket, bytes: Buffer.alloc(0), isClosed: false, error: '' };
  socket.on('message', (data: Buffer) => {
    state.bytes = Buffer.concat([state.bytes, data]);
  });
  socket.on('error', ({ message }) => {
    state.error = message;
  });
  socket.on('close', () => {
    state.isClosed = true;
  });
  await eventually(() => socket.readyState === WebSocket.OPEN || state.isClosed);
  return state;
}

const connack = Buffer.from([0x20, 2, 0, 0]);

describe('MQTT over WebSocket', () => {
  it('is as MQTT over TCP', async () => {
    const { url, appended, gateway } = await openWeb();
    const client = await mqtt.connectAsync(url, { clientId: 'd1', protocolVersion: 4, reconnectPeriod: 0 });
    onTestFinished(() => void client.end(true));
    const payload = 'x'.repeat(2000);
    const ids = Array.from({ length: 200 }, (_, i) => i);
    await Promise.all(ids.map((i) => client.publishAsync('iot/lab/d1/telemetry', `${i}${payload}`, { qos: 1 })));
    expect((await appended(200)).map(({ value }) => Number.parseInt(String(value), 10))).toEqual(ids);
    await client.subscribeAsync('iot/lab/d1/commands', { qos: 1 });
    const heard: string[] = [];
    client.on('message', (_topic, message) => void heard.push(String(message)));
    expect(await gateway.deliver('iot/lab/d1/commands', Buffer.from('x'.repeat(100_000)))).toBe('acknowledged');
    expect(heard[0]).toHaveLength(100_000);
    expect(gateway.status()).toMatchObject({ connections: 1, clients: 1 });
    await client.endAsync();
    await eventually(() => gateway.status().connections === 0 && gateway.status().clients === 0);
    expect(gateway.status().closed).toEqual({});
  });

  it('takes packets however they are cut into messages', async () => {
    const { url, appended } = await openWeb();
    const client = await open(url);
    const bytes = Buffer.concat([connectPacket(), publishPacket({ id: 1 }), publishPacket({ id: 2 }), pingreq()]);
    for (const byte of bytes.subarray(0, 40)) client.socket.send(Buffer.from([byte]));
    client.socket.send(bytes.subarray(40));
    await appended(2);
    await eventually(() => client.bytes.length === 14);
    expect(client.bytes.subarray(0, 4)).toEqual(connack);
  });

  it('has the same limits, and tells what is wrong', async () => {
    const { url, gateway } = await openWeb({ maxPacketBytes: 10_000 });
    const text = await open(url);
    text.socket.send('no bytes');
    await eventually(() => text.isClosed);
    expect(gateway.status().closed).toEqual({ malformed_packet: 1 });
    const large = await open(url);
    large.socket.send(connectPacket());
    large.socket.send(publishPacket({ payload: 'x'.repeat(9995) }));
    await eventually(() => large.isClosed);
    expect(gateway.status().closed).toEqual({ malformed_packet: 2 });
    const unknown = await open(url);
    unknown.socket.send(publishPacket());
    await eventually(() => unknown.isClosed);
    expect(gateway.status().closed).toEqual({ malformed_packet: 3 });
  });

  it('has as much time to CONNECT and the same keepalive', async () => {
    const clock = new ManualClock();
    const { url, gateway } = await openWeb({ connectTimeoutMs: 10_000 }, clock);
    const mute = await open(url);
    const client = await open(url);
    client.socket.send(connectPacket({ keepaliveSeconds: 20 }));
    await eventually(() => client.bytes.length === 4);
    for (let i = 0; i < 10; i++) clock.advance(1000);
    await eventually(() => mute.isClosed);
    for (let i = 0; i < 22; i++) clock.advance(1000);
    await eventually(() => client.isClosed);
    expect(gateway.status().closed).toEqual({ connect_timeout: 1, keepalive_timeout: 1 });
  });

  it('keeps no more of messages that do not end than of packets that do not', async () => {
    const { url, gateway } = await openWeb({ maxUnfinishedBytes: 100_000 });
    const clients = await Promise.all([open(url), open(url), open(url)]);
    for (const [i, { socket }] of clients.entries()) socket.send(connectPacket({ clientId: `${i}` }));
    await eventually(() => gateway.status().clients === 3);
    for (const { socket } of clients) {
      for (let i = 0; i < 5; i++) socket.send(Buffer.alloc(10_000), { fin: false });
      await new Promise((resolve) => setImmediate(resolve));
    }
    await eventually(() => (gateway.status().closed.unfinished_packet ?? 0) > 0);
    await eventually(() => gateway.status().readAheadBytes <= 100_000);
    for (const { socket } of clients) socket.terminate();
    await eventually(() => gateway.status().readAheadBytes === 0);
  });

  it('counts towards all connections, and is ended with the gateway behind its acknowledgements', async () => {
    const { url, gateway, connect, bus } = await openWeb({ maxConnections: 2 });
    const plain = await connect({ clientId: 'plain' });
    const client = await open(url);
    client.socket.send(connectPacket({ clientId: 'web' }));
    await eventually(() => client.bytes.length === 4);
    expect((await open(url)).isClosed).toBe(true);
    expect(gateway.status().closed).toEqual({ too_many_connections: 1 });
    const hold = bus.hold((topic) => topic.includes('raw'));
    client.socket.send(publishPacket({ id: 7 }));
    await eventually(() => gateway.status().ledger.held === 1);
    const closed = gateway.close(3000);
    hold.release();
    await closed;
    await eventually(() => client.isClosed);
    expect([...client.bytes.subarray(4)]).toEqual([0x40, 2, 0, 7]);
    await plain.closed();
    expect((await open(url)).error).toContain('503');
  });

  it('speaks no other protocol, and to no page of another site where anyone is let in', async () => {
    const { url } = await openWeb();
    expect((await open(url.replace('/mqtt', '/other'))).error).toContain('404');
    expect((await open(url, { protocol: 'chat' })).error).toContain('400');
    const headers = { origin: 'https://evil.example' };
    expect((await open(url, { headers })).error).toContain('403');
    expect((await open(url, { headers: { origin: url.replace('ws:', 'http:') } })).isClosed).toBe(false);
    const secured = await openWeb({ credentials: { username: 'u', password: 'p' } });
    expect((await open(secured.url, { headers })).isClosed).toBe(false);
  });
});
