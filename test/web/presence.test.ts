/** Who is online, as the page and the API read it from the bus, and what they tell when nobody else does. */
import { expect, test } from 'vitest';
import { parsePresence } from '../../core/presence.ts';
import type { Device } from '../../web/api.ts';
import { eventually } from '../support/eventually.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { MemoryBus } from '../support/memory-bus.ts';
import { gatewayStatus, openRig, type Rig, tell, tellStatus, topics } from './harness.ts';

async function tellDevice({ bus }: Rig, device: string, status: string, instance: string, reason = 'message') {
  const presence = { site: 'lab', device, status, sinceMs: 1, reason, clientId: device, instance };
  await tell(bus, topics.deviceStatus, `lab/${device}`, presence);
}

/** A status of this page and of each gateway comes, and a second passes. */
async function beat({ bus }: Rig, clock: ManualClock, ...gateways: readonly string[]): Promise<void> {
  const nowMs = clock.nowMs();
  for (const instance of gateways) await tellStatus(bus, gatewayStatus(instance, nowMs));
  await tell(bus, topics.pipelineStatus, 'web/web-1', { role: 'web' }, nowMs);
  clock.advance(1000);
  await new Promise((resolve) => setImmediate(resolve));
}

async function online({ get }: Rig): Promise<string[]> {
  const { devices } = (await get('/api/devices')).body as { devices: Device[] };
  return devices.filter((each) => each.online).map(({ device }) => device);
}

function told({ bus }: Rig): string[] {
  return bus.records(topics.deviceStatus).map(({ value }) => {
    const { device, status, reason } = parsePresence(value)!;
    return `${device} ${status} ${reason}`;
  });
}

test('a word of the gateway that a device had left is passed over', async () => {
  const rig = await openRig();
  await tellDevice(rig, 'd1', 'online', 'a');
  await tellDevice(rig, 'd1', 'online', 'b');
  await tellDevice(rig, 'd1', 'offline', 'a', 'keepalive_timeout');
  expect(await online(rig)).toEqual(['d1']);
  await tellDevice(rig, 'd1', 'offline', 'b', 'disconnected');
  expect((await rig.get('/api/devices')).body).toMatchObject({
    online: 0,
    devices: [{ device: 'd1', online: false, presence: { reason: 'disconnected' } }],
  });
});

test('the devices of a gateway that is gone are told offline when no gateway lives', async () => {
  const clock = new ManualClock();
  const rig = await openRig({ clock });
  await tellDevice(rig, 'd1', 'online', 'killed');
  for (let i = 0; i < 3; i++) await beat(rig, clock, 'killed');
  for (let i = 0; i < 5; i++) await beat(rig, clock);
  expect(await online(rig)).toEqual(['d1']);
  for (let i = 0; i < 5; i++) await beat(rig, clock);
  expect(told(rig)).toEqual(['d1 online message', 'd1 offline gateway_lost']);
  expect(await online(rig)).toEqual([]);
});

test('they are left to a gateway that lives, and told if that does not for a while', async () => {
  const clock = new ManualClock();
  const rig = await openRig({ clock });
  await tellDevice(rig, 'd1', 'online', 'killed');
  for (let i = 0; i < 9; i++) await beat(rig, clock, 'living');
  expect(told(rig)).toHaveLength(1);
  for (let i = 0; i < 2; i++) await beat(rig, clock, 'living');
  expect(told(rig)).toEqual(['d1 online message', 'd1 offline gateway_lost']);
});

test('they are told when the bus takes it again, and once', async () => {
  const clock = new ManualClock();
  const bus = new MemoryBus({ clock });
  const rig = await openRig({ clock, bus });
  for (let i = 0; i < 20; i++) await tellDevice(rig, `d${i}`, 'online', 'killed');
  const recover = bus.fail((topic) => topic === topics.deviceStatus);
  for (let i = 0; i < 10; i++) await beat(rig, clock);
  expect(told(rig)).toHaveLength(20);
  recover();
  for (let i = 0; i < 5; i++) await beat(rig, clock);
  await eventually(async () => (await online(rig)).length === 0);
  expect(told(rig)).toHaveLength(40);
});
