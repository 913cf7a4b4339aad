import { expect, test } from 'vitest';
import type { DevicePresence } from '../../core/presence.ts';
import { Devices, maxDevices } from '../../web/devices.ts';

function presenceOf(device: string, status: DevicePresence['status'], sinceMs = 5): DevicePresence {
  const reason = status === 'online' ? 'connected' : 'disconnected';
  return { site: 'lab', device, status, sinceMs, reason, clientId: device, identity: 'token', instance: 'run1' };
}

test('newest first, with the newest value of each field', () => {
  const devices = new Devices();
  devices.found([{ site: 'lab', device: 'a', timeMs: 1000, fields: { temperature: 20, battery: 80 } }]);
  devices.found([
    { site: 'lab', device: 'b', timeMs: 3000, fields: { open: true } },
    { site: 'lab', device: 'a', timeMs: 2000, fields: { temperature: 21 } },
  ]);
  expect(devices.all()).toEqual([
    {
      site: 'lab',
      device: 'b',
      lastSeenMs: 3000,
      online: false,
      presence: null,
      clockSkewMs: null,
      fields: { open: true },
    },
    {
      site: 'lab',
      device: 'a',
      lastSeenMs: 2000,
      online: false,
      presence: null,
      clockSkewMs: null,
      fields: { temperature: 21, battery: 80 },
    },
  ]);
});

test('an older answer of the store changes nothing', () => {
  const devices = new Devices();
  devices.found([{ site: 'lab', device: 'a', timeMs: 2000, fields: { temperature: 21 } }]);
  devices.takeChanged();
  devices.found([{ site: 'lab', device: 'a', timeMs: 1000, fields: { temperature: 20 } }]);
  devices.found([{ site: 'lab', device: 'a', timeMs: 2000, fields: { temperature: 21 } }]);
  expect(devices.takeChanged()).toEqual([]);
  expect(devices.all()).toMatchObject([{ lastSeenMs: 2000, fields: { temperature: 21 } }]);
});

test('presence: a device that connected is there before its first reading is stored', () => {
  const devices = new Devices();
  devices.presence(presenceOf('a', 'online'));
  expect(devices.takeChanged()).toEqual([
    {
      site: 'lab',
      device: 'a',
      lastSeenMs: null,
      online: true,
      presence: { sinceMs: 5, reason: 'connected', identity: 'token' },
      clockSkewMs: null,
      fields: {},
    },
  ]);
  devices.found([{ site: 'lab', device: 'a', timeMs: 1000, fields: { temperature: 20 } }]);
  expect(devices.takeChanged()).toMatchObject([{ lastSeenMs: 1000, online: true }]);
  devices.presence(presenceOf('a', 'offline', 9));
  const gone = { sinceMs: 9, reason: 'disconnected' };
  expect(devices.takeChanged()).toMatchObject([{ lastSeenMs: 1000, online: false, presence: gone }]);
});

test('a device that is offline is listed once it has a reading, and then says since when', () => {
  const devices = new Devices();
  devices.presence(presenceOf('gone', 'offline', 7));
  expect(devices.takeChanged()).toEqual([]);
  devices.found([{ site: 'lab', device: 'gone', timeMs: 1000, fields: { temperature: 20 } }]);
  expect(devices.all()).toMatchObject([{ device: 'gone', online: false, presence: { sinceMs: 7 } }]);
});

test('the number of devices is bounded: those not heard of for longest are left out', () => {
  const devices = new Devices();
  devices.found(
    Array.from({ length: maxDevices + 10 }, (_, i) => ({
      site: 'lab',
      device: `d${i}`,
      timeMs: i + 1,
      fields: { value: i },
    })),
  );
  const all = devices.all();
  expect(all).toHaveLength(maxDevices);
  expect(all.at(-1)).toMatchObject({ device: 'd10' });
  expect(devices.isFull).toBe(true);
  devices.presence(presenceOf('new', 'online'));
  expect(devices.all()).toHaveLength(maxDevices);
});
