import { describe, expect, it } from 'vitest';
import { silentLogger } from '../../core/log.ts';
import { Addresses } from '../../gateway/entrances/addresses.ts';
import { eventually } from '../support/eventually.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { openGateway } from './harness.ts';
import { connectPacket, RawClient, type } from './raw-client.ts';

describe('Addresses', () => {
  it('counts the connections of each', () => {
    const addresses = new Addresses(2);
    expect(['10.0.0.1', '10.0.0.1', '10.0.0.1', '10.0.0.2'].map((a) => addresses.enter(a))).toEqual([
      true,
      true,
      false,
      true,
    ]);
    addresses.leave('10.0.0.1');
    expect(addresses.enter('10.0.0.1')).toBe(true);
    expect(addresses.enter('10.0.0.1')).toBe(false);
  });

  it.each([
    ['an IPv4 address, mapped or not', '::ffff:10.0.0.1', '10.0.0.1', true],
    ['two of one /64', '2001:db8:1:2::1', '2001:db8:1:2:ffff:1:2:3', true],
    ['two of one /64 that are shortened differently', '2001:db8::1', '2001:db8:0:0:5::', true],
    ['two of one /64 that is all zeros', '::1', '0:0:0:0:5:6:7:8', true],
    ['two of different /64', '2001:db8:1:2::1', '2001:db8:1:3::1', false],
    ['two of different /64 that are shortened', '2001:db8::1:0:0:1', '2001:db8:0:1::1', false],
  ])('%s: one = %s', (_what, one, other, isOne) => {
    const addresses = new Addresses(1);
    addresses.enter(one);
    expect(addresses.enter(other)).toBe(!isOne);
  });
});

describe('Who is let in', () => {
  it('from one address no more than it may have, and from another one all the same', async () => {
    const warnings: object[] = [];
    const log = { ...silentLogger, warn: (fields: object) => void warnings.push(fields) };
    const { connect, gateway, port } = await openGateway({ maxConnectionsPerAddress: 2 }, { log });
    const first = await connect({ clientId: 'a' });
    await connect({ clientId: 'b' });
    for (let i = 0; i < 3; i++) await (await RawClient.open(port)).closed();
    const elsewhere = await RawClient.open(port, '127.0.0.2');
    elsewhere.send(connectPacket({ clientId: 'c' }));
    expect(await elsewhere.received(type.connack)).toEqual([0]);
    expect(gateway.status().closed).toEqual({ too_many_from_address: 3 });
    expect(warnings).toMatchObject([{ reason: 'too_many_from_address', address: '127.0.0.1' }]);
    first.socket.destroy();
    await eventually(() => gateway.status().clients === 2);
    await connect({ clientId: 'd' });
    elsewhere.socket.destroy();
  });

  it('no more at once than the connect rate; the others wait for their turn, and are not refused', async () => {
    const clock = new ManualClock();
    const { gateway, port } = await openGateway({ maxConnectsPerSecond: 10 }, { clock });
    const clients: RawClient[] = [];
    for (let i = 0; i < 25; i++) {
      const client = await RawClient.open(port);
      client.send(connectPacket({ clientId: `c${i}` }));
      clients.push(client);
    }
    const accepted = () => clients.filter((client) => client.ids(type.connack).length === 1).length;
    // A burst of one second, and the one that makes the first debt.
    await eventually(() => accepted() === 11);
    await eventually(() => gateway.status().connectsDelayed === 14);
    expect(gateway.status()).toMatchObject({ connections: 25, clients: 11 });
    clock.advance(1050);
    await eventually(() => accepted() === 21);
    expect(
      clients.findIndex((client) => client.ids(type.connack).length === 0),
      'in the order they came',
    ).toBe(21);
    clock.advance(1000);
    await eventually(() => accepted() === 25);
    expect(gateway.status().closed).toEqual({});
    for (const { socket } of clients) socket.destroy();
    await eventually(() => gateway.status().connections === 0);
  });

  it('closes those that wait when the gateway closes', async () => {
    const clock = new ManualClock();
    const { gateway, port } = await openGateway({ maxConnectsPerSecond: 1 }, { clock });
    const clients = [await RawClient.open(port), await RawClient.open(port), await RawClient.open(port)];
    await eventually(() => gateway.status().connectsDelayed === 1);
    void gateway.close(1000);
    for (const client of clients) await client.closed();
    await eventually(() => gateway.status().connections === 0);
  });
});
