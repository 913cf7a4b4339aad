import { expect, test } from 'vitest';
import { Devices, maxDevices } from '../../web/devices.ts';

test('newest first, with the newest value of each field', () => {
  const devices = new Devices();
  devices.found([{ site: 'lab', device: 'a', timeMs: 1000, fields: { temperature: 20, battery: 80 } }]);
  devices.found([
    { site: 'lab', device: 'b', timeMs: 3000, fields: { open: true } },
    { site: 'lab', device: 'a', timeMs: 2000, fields: { temperature: 21 } },
  ]);
  expect(devices.all()).toEqual([
    { site: 'lab', device: 'b', lastSeenMs: 3000, online: false, clockSkewMs: null, fields: { open: true } },
    {
      site: 'lab',
      device: 'a',
      lastSeenMs: 2000,
      online: false,
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
  devices.presence({ site: 'lab', device: 'a', status: 'online' });
  expect(devices.takeChanged()).toEqual([
    { site: 'lab', device: 'a', lastSeenMs: null, online: true, clockSkewMs: null, fields: {} },
  ]);
  devices.found([{ site: 'lab', device: 'a', timeMs: 1000, fields: { temperature: 20 } }]);
  expect(devices.takeChanged()).toMatchObject([{ lastSeenMs: 1000, online: true }]);
  devices.presence({ site: 'lab', device: 'a', status: 'offline' });
  expect(devices.takeChanged()).toMatchObject([{ lastSeenMs: 1000, online: false }]);
  devices.presence({ site: 'lab', device: 'gone', status: 'offline' });
  expect(devices.takeChanged()).toEqual([]);
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
  devices.presence({ site: 'lab', device: 'new', status: 'online' });
  expect(devices.all()).toHaveLength(maxDevices);
});
