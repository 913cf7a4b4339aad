import { once } from 'node:events';
import { copyFile, readFile, writeFile } from 'node:fs/promises';
import { connect, type TLSSocket } from 'node:tls';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { GatewayOptions } from '../../gateway/options.ts';
import { eventually } from '../support/eventually.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { Authority, type CertifiedFiles } from './authority.ts';
import { defaults, type Opened, openGateway } from './harness.ts';
import { connectPacket, pingreq, publishPacket, RawClient, type } from './raw-client.ts';
import { usersFile } from './users-fixture.ts';

/** Gone with the test. */
function newAuthority(): Authority {
  const authority = new Authority();
  onTestFinished(() => authority.remove());
  return authority;
}

type Overrides = Partial<GatewayOptions['tls']>;

function tlsOf(authority: Authority, overrides: Overrides = {}): Pick<GatewayOptions, 'tls'> {
  return { tls: { ...defaults.tls, port: 0, ...authority.server(), ...overrides } };
}

async function open(opened: Opened, authority: Authority, shown?: CertifiedFiles): Promise<RawClient> {
  const own = shown === undefined ? {} : { cert: await readFile(shown.cert), key: await readFile(shown.key) };
  const ca = await readFile(authority.ca);
  const socket: TLSSocket = connect({ host: '127.0.0.1', port: opened.gateway.tlsAddress()!.port, ca, ...own });
  onTestFinished(() => void socket.destroy());
  const client = new RawClient(socket);
  await once(socket, 'secureConnect').catch(() => client.closed());
  return client;
}

describe('MQTT over TLS', () => {
  it('is as MQTT over TCP', async () => {
    const authority = newAuthority();
    const opened = await openGateway(tlsOf(authority));
    const client = await open(opened, authority);
    client.send(connectPacket());
    expect(await client.received(type.connack)).toEqual([0]);
    const ids = Array.from({ length: 300 }, (_, i) => i + 1);
    client.send(...ids.map((id) => publishPacket({ id, payload: 'x'.repeat(1000) })));
    expect(await client.received(type.puback, 300)).toEqual(ids);
    await client.ping();
    expect(opened.gateway.status()).toMatchObject({ connections: 1, clients: 1 });
    client.socket.destroy();
    await eventually(() => opened.gateway.status().connections === 0);
  });

  it('has the same limits: packets, rate, silence', async () => {
    const authority = newAuthority();
    const clock = new ManualClock();
    const limits = { ...tlsOf(authority), maxPacketBytes: 1000, maxMessagesPerSecond: 10 };
    const opened = await openGateway(limits, { clock });
    const large = await open(opened, authority);
    large.send(connectPacket({ clientId: 'large' }), publishPacket({ payload: 'x'.repeat(2000) }));
    await large.closed();
    const fast = await open(opened, authority);
    fast.send(connectPacket({ clientId: 'fast' }));
    await fast.received(type.connack);
    fast.send(...Array.from({ length: 30 }, () => publishPacket({ qos: 0 })));
    await eventually(() => opened.gateway.status().slowed === 1);
    const silent = await open(opened, authority);
    silent.send(connectPacket({ clientId: 'silent', keepaliveSeconds: 10 }));
    await silent.received(type.connack);
    for (let i = 0; i < 14; i++) clock.advance(1000);
    silent.send(pingreq());
    await silent.received(type.pingresp);
    for (let i = 0; i < 17; i++) clock.advance(1000);
    await silent.closed();
    expect(opened.gateway.status().closed).toMatchObject({ packet_too_large: 1, keepalive_timeout: 1 });
  });

  it('gives no more time to CONNECT than TCP, handshake included, and counts what is no TLS', async () => {
    const authority = newAuthority();
    const clock = new ManualClock();
    const opened = await openGateway({ ...tlsOf(authority), connectTimeoutMs: 10_000 }, { clock });
    const { port } = opened.gateway.tlsAddress()!;
    const mute = await RawClient.open(port);
    const noTls = await RawClient.open(port);
    noTls.send(connectPacket());
    await noTls.closed();
    await eventually(() => opened.gateway.status().connections === 1);
    clock.advance(9000);
    const late = await open(opened, authority);
    expect(late.isClosed).toBe(false);
    clock.advance(1000);
    await mute.closed();
    clock.advance(8000);
    expect(late.isClosed).toBe(false);
    clock.advance(1000);
    await late.closed();
    expect(opened.gateway.status().closed).toEqual({ tls_failed: 1, connect_timeout: 2 });
  });

  it('counts towards all connections, and ends with the gateway also in the middle of a handshake', async () => {
    const authority = newAuthority();
    const opened = await openGateway({ ...tlsOf(authority), maxConnections: 2 });
    const plain = await opened.connect();
    const { port } = opened.gateway.tlsAddress()!;
    const half = await RawClient.open(port);
    await eventually(() => opened.gateway.status().connections === 2);
    await (await RawClient.open(port)).closed();
    await (await RawClient.open(opened.port)).closed();
    expect(opened.gateway.status().closed).toEqual({ too_many_connections: 2 });
    await plain.ping();
    await opened.gateway.close(1000);
    await half.closed();
  });

  it('says where it is spoken, and when its certificate is about to end', async () => {
    const authority = newAuthority();
    const { tls } = tlsOf(authority);
    const { gateway } = await openGateway({ tls });
    const { certificateEndsMs, ...address } = gateway.status().tls!;
    expect(address).toEqual(gateway.tlsAddress());
    expect((certificateEndsMs - Date.now()) / 86_400_000).toBeCloseTo(30, 1);
    expect(gateway.status().warnings).toEqual([]);
    const late = await openGateway({ tls }, { clock: new ManualClock(certificateEndsMs - 13 * 86_400_000) });
    expect(late.gateway.status().warnings).toEqual([expect.stringMatching(/^mqtt\.tls\.cert \(.*\) ends at 20/)]);
  });

  it('has another certificate when its file changes; who is connected stays', async () => {
    const authority = newAuthority();
    const other = newAuthority();
    const options = tlsOf(authority);
    const opened = await openGateway(options);
    const client = await open(opened, authority);
    client.send(connectPacket());
    await client.received(type.connack);
    const renewed = other.server();
    const { cert, key } = options.tls as CertifiedFiles;
    await copyFile(renewed.cert, cert);
    await eventually(() => opened.gateway.status().warnings.length === 1, { what: 'a key of another certificate' });
    expect((await open(opened, authority)).isClosed).toBe(false);
    await copyFile(renewed.key, key);
    await eventually(() => opened.gateway.status().warnings.length === 0);
    expect((await open(opened, authority)).isClosed, 'of the former authority').toBe(true);
    expect((await open(opened, other)).isClosed).toBe(false);
    await client.ping();
  });

  it('is refused at the start with files that cannot be used', async () => {
    const authority = newAuthority();
    const { cert } = authority.server();
    await writeFile(`${cert}.broken`, 'nonsense');
    await expect(openGateway(tlsOf(authority, { cert: `${cert}.broken` }))).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringContaining('mqtt.tls'),
    });
  });
});

describe('A certificate of a client', () => {
  const refused = { connack: null };

  /** What becomes of a client with this certificate. */
  async function login(
    opened: Opened,
    authority: Authority,
    client?: CertifiedFiles,
  ): Promise<{ connack: number | null }> {
    const raw = await open(opened, authority, client);
    raw.send(connectPacket({ clientId: 'c1' }));
    await eventually(() => raw.isClosed || raw.ids(type.connack).length > 0);
    const [connack = null] = raw.ids(type.connack);
    raw.socket.destroy();
    return { connack };
  }

  it('is who it is: a site and a device, or a user of the users file', async () => {
    const authority = newAuthority();
    const { file } = await usersFile([{ user: 'bridge', site: 'plant', device: '*' }]);
    const opened = await openGateway({ ...tlsOf(authority, { ca: authority.ca }), usersFile: file });
    expect(await login(opened, authority, authority.client('lab/d1'))).toEqual({ connack: 0 });
    expect(await login(opened, authority, authority.client('bridge'))).toEqual({ connack: 0 });
    expect(await login(opened, authority, authority.client('nobody'))).toEqual({ connack: 5 });
    expect(await login(opened, authority, authority.client('lab/d1/x'))).toEqual({ connack: 5 });
    expect(await login(opened, authority), 'none, and no password').toEqual({ connack: 4 });
    const device = await open(opened, authority, authority.client('lab/d2'));
    device.send(connectPacket({ clientId: 'd2' }), publishPacket({ id: 1, topic: 'iot/lab/d2/telemetry' }));
    expect(await device.received(type.puback)).toEqual([1]);
    device.send(publishPacket({ id: 2, topic: 'iot/lab/d3/telemetry' }));
    await device.closed();
  });

  it('of another authority is refused, also where none is asked for', async () => {
    const authority = newAuthority();
    const stranger = newAuthority().client('lab/d1');
    for (const requireClientCert of [true, false]) {
      const opened = await openGateway(tlsOf(authority, { ca: authority.ca, requireClientCert }));
      expect(await login(opened, authority, stranger)).toEqual(refused);
      expect(opened.gateway.status().closed).toEqual({ tls_failed: 1 });
    }
  });

  it('has to be shown where it is asked for, and then is enough off the loopback address', async () => {
    const authority = newAuthority();
    const tls = tlsOf(authority, { ca: authority.ca, requireClientCert: true });
    const opened = await openGateway({ ...tls, host: '0.0.0.0' });
    expect(await login(opened, authority)).toEqual(refused);
    expect(await login(opened, authority, authority.client('lab/d1'))).toEqual({ connack: 0 });
    const plain = await RawClient.open(opened.port);
    plain.send(connectPacket());
    expect(await plain.received(type.connack), 'no one gets in without').toEqual([4]);
  });
});
