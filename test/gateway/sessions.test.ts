/** One connection per client id and user, over all gateways: `presence/sessions.ts`. */
import { describe, expect, it } from 'vitest';
import { silentLogger } from '../../core/log.ts';
import { eventually } from '../support/eventually.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { MemoryBus } from '../support/memory-bus.ts';
import { type Opened, openGateway, topics } from './harness.ts';
import type { RawClient } from './raw-client.ts';
import { usersFile } from './users-fixture.ts';

async function openTwo(
  options: Parameters<typeof openGateway>[0] = {},
): Promise<{ bus: MemoryBus; a: Opened; b: Opened }> {
  const bus = new MemoryBus();
  const a = await openGateway(options, { bus, instance: 'a' });
  const b = await openGateway(options, { bus, instance: 'b' });
  return { bus, a, b };
}

/** So many clients were told of, as whoever follows the topic has read. */
async function claimed(bus: MemoryBus, count: number): Promise<void> {
  await eventually(() => bus.records(topics.clientSessions).length >= count, { what: `${count} clients are told of` });
}

const open = (clients: readonly RawClient[]) => clients.filter(({ isClosed }) => !isClosed);

describe('A client id', () => {
  it('at two gateways leaves the newest, whichever they are', async () => {
    const { bus, a, b } = await openTwo();
    const clients: RawClient[] = [];
    for (const [i, gateway] of [a, b, b, a, b].entries()) {
      clients.push(await gateway.connect({ clientId: 'same' }));
      await claimed(bus, i + 1);
      await eventually(() => open(clients).length === 1, { what: 'the older is closed' });
      expect(open(clients)).toEqual([clients[i]]);
    }
    const closed = [a, b].map(({ gateway }) => gateway.status().closed.taken_over ?? 0);
    expect(closed).toEqual([2, 2]);
    await clients.at(-1)!.ping();
  });

  it('that comes to both at once leaves exactly one: the one whose record is the later', async () => {
    const { bus, a, b } = await openTwo();
    const hold = bus.hold((topic) => topic === topics.clientSessions);
    const clients = [await a.connect({ clientId: 'same' }), await b.connect({ clientId: 'same' })];
    await eventually(() => hold.waiting.length === 2);
    await Promise.all(clients.map((client) => client.ping()));
    hold.release();
    await eventually(() => open(clients).length < 2);
    await claimed(bus, 2);
    const [, last] = bus.records(topics.clientSessions);
    const kept = JSON.parse(String(last!.value)).instance === 'a' ? clients[0] : clients[1];
    await kept!.ping();
    expect(open(clients)).toEqual([kept]);
  });

  it('of another user ends nobody', async () => {
    const users = ['u1', 'u2'].map((user) => ({ user, password: 'p', site: 'lab', device: user }));
    const { file } = await usersFile(users);
    const { bus, a, b } = await openTwo({ usersFile: file });
    const first = await a.connect({ clientId: 'same', credentials: { username: 'u1', password: 'p' } });
    await claimed(bus, 1);
    const second = await b.connect({ clientId: 'same', credentials: { username: 'u2', password: 'p' } });
    await claimed(bus, 2);
    await Promise.all([first.ping(), second.ping()]);
    const third = await b.connect({ clientId: 'same', credentials: { username: 'u2', password: 'p' } });
    await claimed(bus, 3);
    await second.closed();
    await Promise.all([first.ping(), third.ping()]);
  });

  it('that the gateway made up is nobody else’s, and is not told of', async () => {
    const { bus, a } = await openTwo();
    await a.connect({ clientId: '' });
    await a.connect({ clientId: 'named' });
    await claimed(bus, 1);
    expect(bus.records(topics.clientSessions).map(({ key }) => key)).toEqual(['named']);
  });

  it('for which two clients fight is said once, and each turn is counted', async () => {
    const lines: string[] = [];
    const log = { ...silentLogger, warn: (_fields: object, message: string) => void lines.push(message) };
    const bus = new MemoryBus();
    const a = await openGateway({}, { bus, instance: 'a', log });
    const b = await openGateway({}, { bus, instance: 'b' });
    for (let turn = 0; turn < 4; turn++) {
      await (turn % 2 === 0 ? a : b).connect({ clientId: 'same' });
      await claimed(bus, turn + 1);
    }
    await eventually(() => a.gateway.status().closed.taken_over === 2);
    expect(lines.filter((line) => line.includes('two clients with one id'))).toHaveLength(1);
  });

  it('is told of by many that come at once in few appends', async () => {
    const { bus, a } = await openTwo();
    const ids = Array.from({ length: 100 }, (_, i) => `c${i}`);
    await Promise.all(ids.map((clientId) => a.connect({ clientId })));
    await claimed(bus, 100);
    expect(bus.records(topics.clientSessions)).toHaveLength(100);
    expect(bus.calls.filter(({ topic }) => topic === topics.clientSessions).length).toBeLessThan(20);
  });
});

describe('While the bus cannot be read', () => {
  it('clients are taken all the same, and are told of when it can; the status says so', async () => {
    const bus = new MemoryBus();
    const follow = bus.follow.bind(bus);
    let isAway = true;
    bus.follow = (topic, from, onRecords) =>
      isAway && topic === topics.clientSessions
        ? Promise.reject(new Error('the bus is away'))
        : follow(topic, from, onRecords);
    const clock = new ManualClock();
    const { connect, gateway } = await openGateway({}, { bus, clock });
    await connect({ clientId: 'c1' });
    await eventually(() => gateway.status().warnings.length === 1);
    expect(gateway.status().warnings).toEqual([`${topics.clientSessions} cannot be read: the bus is away`]);
    expect(bus.records(topics.clientSessions)).toEqual([]);
    isAway = false;
    clock.advance(2000);
    await eventually(() => {
      clock.advance(200);
      return bus.records(topics.clientSessions).length === 1;
    });
    expect(gateway.status().warnings).toEqual([]);
  });
});
