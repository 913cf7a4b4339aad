/** Which devices are online, told by several gateways on one bus: `presence/`. */
import { describe, expect, it } from 'vitest';
import type { Clock } from '../../core/clock.ts';
import { type DevicePresence, parsePresence, presenceRecord } from '../../core/presence.ts';
import { topicSpecs } from '../../core/topics.ts';
import { eventually } from '../support/eventually.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { MemoryBus } from '../support/memory-bus.ts';
import { type Opened, openGateway, topics } from './harness.ts';
import { disconnect, publishPacket, type } from './raw-client.ts';
import { usersFile } from './users-fixture.ts';

const pumps = ['pump1', 'pump2'].map((device) => ({ user: device, password: 'p', site: 'plant', device }));
const credentials = { username: 'pump1', password: 'p' };

/** What was told, as `device status reason instance`, partition by partition. */
function told(bus: MemoryBus): string[] {
  return bus.records(topics.deviceStatus).map(({ value }) => {
    const { device, status, reason, instance } = parsePresence(value)!;
    return `${device} ${status} ${reason} ${instance}`;
  });
}

const ofDevice = (bus: MemoryBus, device: string) => told(bus).filter((line) => line.startsWith(`${device} `));

async function tell(bus: MemoryBus, over: Partial<DevicePresence>): Promise<void> {
  const presence: DevicePresence = {
    site: 'lab',
    device: 'd1',
    status: 'online',
    sinceMs: 1,
    reason: 'message',
    clientId: 'd1',
    identity: null,
    instance: 'other',
    ...over,
  };
  await bus.append(topics.deviceStatus, [presenceRecord(presence)]);
}

/** A status of each gateway comes, and a second passes, in which what is told leaves in steps. */
async function beat(bus: MemoryBus, clock: ManualClock, ...instances: readonly string[]): Promise<void> {
  const records = instances.map((instance) => ({
    key: `gateway/${instance}`,
    value: Buffer.from('{}'),
    headers: {},
    timestampMs: clock.nowMs(),
  }));
  await bus.append(topics.pipelineStatus, records);
  for (let step = 0; step < 5; step++) {
    clock.advance(200);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

async function openTwo(clock?: Clock): Promise<{ bus: MemoryBus; a: Opened; b: Opened }> {
  const bus = new MemoryBus();
  const surroundings = { bus, ...(clock === undefined ? {} : { clock }) };
  const a = await openGateway({}, { ...surroundings, instance: 'a' });
  const b = await openGateway({}, { ...surroundings, instance: 'b' });
  return { bus, a, b };
}

async function publishAs({ connect }: Opened, clientId: string) {
  const client = await connect({ clientId });
  client.send(publishPacket({ topic: `iot/lab/${clientId}/telemetry` }));
  await client.received(type.puback);
  return client;
}

describe('A device is online', () => {
  it('from its CONNECT on where its identity names it, and with its first message elsewhere', async () => {
    const { file } = await usersFile(pumps);
    const { bus, connect } = await openGateway({ usersFile: file });
    await connect({ clientId: 'c1', credentials });
    await eventually(() => told(bus).length === 1);
    expect(parsePresence(bus.records(topics.deviceStatus)[0]!.value)).toMatchObject({
      site: 'plant',
      device: 'pump1',
      status: 'online',
      reason: 'connected',
      clientId: 'c1',
      identity: 'users file',
      instance: 'run1',
    });
  });

  it('without a word in between when its identity takes over its own connection', async () => {
    const { file } = await usersFile(pumps);
    const { bus, connect, gateway } = await openGateway({ usersFile: file });
    const first = await connect({ clientId: 'c1', credentials });
    await eventually(() => told(bus).length === 1);
    const second = await connect({ clientId: 'c1', credentials });
    await first.closed();
    second.send(disconnect());
    await eventually(() => told(bus).length > 1);
    expect(told(bus)).toEqual(['pump1 online connected run1', 'pump1 offline disconnected run1']);
    expect(gateway.status().presence).toEqual({ devices: 0, waiting: 0, givenUp: 0, lost: 0 });
  });
});

describe('A device at two gateways', () => {
  it('that has moved is not offline when its former connection ends', async () => {
    const { bus, a, b } = await openTwo();
    const before = await publishAs(a, 'd1');
    await eventually(() => told(bus).length === 1);
    // Another client id: nobody ends the former connection.
    const after = await b.connect({ clientId: 'bridge' });
    after.send(publishPacket({ topic: 'iot/lab/d1/telemetry' }));
    await eventually(() => told(bus).length === 2);
    before.send(disconnect());
    await before.closed();
    await eventually(() => a.gateway.status().presence.devices === 0);
    after.send(disconnect());
    await eventually(() => told(bus).length > 2);
    expect(told(bus)).toEqual(['d1 online message a', 'd1 online message b', 'd1 offline disconnected b']);
  });

  it('is told online again by the one that still has it', async () => {
    const { bus, a, b } = await openTwo();
    await publishAs(a, 'd1');
    await eventually(() => told(bus).length === 1);
    const other = await b.connect({ clientId: 'bridge' });
    other.send(publishPacket({ topic: 'iot/lab/d1/telemetry' }));
    await eventually(() => told(bus).length === 2);
    other.send(disconnect());
    await eventually(() => told(bus).length === 4);
    expect(told(bus).slice(2)).toEqual(['d1 offline disconnected b', 'd1 online still_connected a']);
  });

  it('is not told offline by the former one once the other has it: what waited there is taken back', async () => {
    const clock = new ManualClock();
    const bus = new MemoryBus();
    const a = await openGateway({ lingerMs: 0 }, { bus, clock, instance: 'a' });
    const before = await a.connect({ clientId: 'd1' });
    before.send(publishPacket());
    await before.received(type.puback);
    clock.advance(200);
    await eventually(() => told(bus).length === 1);
    before.send(disconnect());
    await eventually(() => a.gateway.status().presence.waiting === 1);
    await tell(bus, { instance: 'b' });
    expect(a.gateway.status().presence.waiting).toBe(0);
    clock.advance(1000);
    expect(told(bus)).toEqual(['d1 online message a', 'd1 online message b']);
  });

  it('is told online again when a word of the former one comes late, or somebody took its gateway for lost', async () => {
    const { bus, a } = await openTwo();
    await publishAs(a, 'd1');
    await eventually(() => told(bus).length === 1);
    await tell(bus, { status: 'offline', reason: 'keepalive_timeout', instance: 'gone' });
    await eventually(() => told(bus).length === 3);
    await tell(bus, { status: 'offline', reason: 'gateway_lost', instance: 'a' });
    await eventually(() => told(bus).length === 5);
    expect(told(bus).filter((line) => line === 'd1 online still_connected a')).toHaveLength(2);
    expect(told(bus).at(-1)).toBe('d1 online still_connected a');
  });
});

describe('A gateway that is gone', () => {
  it('has its devices told offline once, by one of the others', async () => {
    const clock = new ManualClock();
    const { bus } = await openTwo(clock);
    for (let i = 0; i < 50; i++) await tell(bus, { device: `d${i}`, instance: 'gone' });
    for (let i = 0; i < 20; i++) await beat(bus, clock, 'a', 'b');
    for (let i = 0; i < 50; i++) {
      expect(ofDevice(bus, `d${i}`)).toEqual([`d${i} online message gone`, `d${i} offline gateway_lost gone`]);
    }
  });

  it('is not one whose statuses come, whatever else does not', async () => {
    const clock = new ManualClock();
    const { bus } = await openTwo(clock);
    await tell(bus, { instance: 'slow' });
    for (let i = 0; i < 20; i++) await beat(bus, clock, 'a', 'b', ...(i % 5 === 0 ? ['slow'] : []));
    expect(told(bus)).toEqual(['d1 online message slow']);
  });

  it('is told of by its successor, but for the devices that came back to that', async () => {
    const clock = new ManualClock();
    const bus = new MemoryBus();
    await bus.createTopics(
      topicSpecs({ prefix: 'iot.', partitions: 4, rawRetentionMs: null, rawRetentionBytes: null }),
    );
    for (const device of ['d1', 'd2']) await tell(bus, { device, instance: 'killed' });
    const after = await openGateway({ lingerMs: 0 }, { bus, clock, instance: 'after' });
    // What it says of those that came back waits when it finds that their former gateway is gone.
    const recover = bus.fail((topic) => topic === topics.deviceStatus);
    await publishAs(after, 'd1');
    for (let i = 0; i < 8; i++) await beat(bus, clock, 'after');
    recover();
    for (let i = 0; i < 2; i++) await beat(bus, clock, 'after');
    expect(ofDevice(bus, 'd1')).toEqual(['d1 online message killed', 'd1 online message after']);
    expect(ofDevice(bus, 'd2')).toEqual(['d2 online message killed', 'd2 offline gateway_lost killed']);
    expect(after.gateway.status().presence).toEqual({ devices: 1, waiting: 0, givenUp: 0, lost: 1 });
  });
});

describe('What there is to tell', () => {
  it('is told at a pace, newest of each device, and waits while the bus takes nothing', async () => {
    const clock = new ManualClock();
    const { bus, a } = await openTwo(clock);
    for (let i = 0; i < 1500; i++) await tell(bus, { device: `d${i}`, instance: 'gone' });
    const recover = bus.fail((topic) => topic === topics.deviceStatus);
    for (let i = 0; i < 8; i++) await beat(bus, clock, 'a');
    expect(a.gateway.status().presence.waiting).toBe(1500);
    recover();
    const calls = bus.calls.length;
    for (let i = 0; i < 3; i++) await beat(bus, clock, 'a');
    const appends = bus.calls.slice(calls).filter(({ topic }) => topic === topics.deviceStatus);
    expect(appends.map(({ records }) => records.length)).toEqual([400, 400, 400, 300]);
    expect(a.gateway.status().presence).toEqual({ devices: 0, waiting: 0, givenUp: 0, lost: 1500 });
  });

  it('is given up where the bus refuses it for good, and holds nothing else up', async () => {
    const bus = new MemoryBus();
    bus.refuse((topic, { key }) => (topic === topics.deviceStatus && key === 'lab/bad' ? 'too large' : null));
    const opened = await openGateway({}, { bus });
    await publishAs(opened, 'bad');
    await publishAs(opened, 'good');
    await eventually(() => opened.gateway.status().presence.waiting === 0);
    expect(told(bus)).toEqual(['good online message run1']);
    expect(opened.gateway.status().presence).toMatchObject({ devices: 2, givenUp: 1 });
  });
});
