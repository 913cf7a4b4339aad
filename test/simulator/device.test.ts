/** A device without its connection: the same seed and start give the same bytes at the same times. */
import { expect, test } from 'vitest';
import { Device, type DeviceSettings } from '../../simulator/device.ts';
import { identities, quickstart, quickstartSites } from '../../simulator/fleet.ts';

const startMs = 1_760_000_000_000;
const settings: DeviceSettings = {
  profile: quickstart,
  seed: 1,
  intervalMs: 1000,
  jitter: 0.5,
  startMs,
  firstMs: startMs,
};

function made(count: number, over: Partial<DeviceSettings> = {}, index = 0) {
  const device = new Device(identities(12, quickstartSites)[index]!, { ...settings, ...over });
  return Array.from({ length: count }, () => {
    const dueMs = device.nextAtMs;
    return { dueMs, ...device.next() };
  });
}

test('same seed, same bytes; another seed or another device, others', () => {
  const payloads = (over: Partial<DeviceSettings>, index?: number) =>
    made(500, over, index).map(({ payload }) => payload);
  expect(payloads({})).toEqual(payloads({}));
  expect(payloads({ seed: 2 })).not.toEqual(payloads({}));
  expect(payloads({}, 3)).not.toEqual(payloads({}));
});

test('bytes are pinned: a change of them is a change of every recorded run', () => {
  expect(made(2).map(({ payload }) => payload)).toMatchInlineSnapshot(`
    [
      "{"ts":1760000000081,"seq":0,"temperature":4.06,"humidity":61.9,"battery":61.2,"compressor":true,"setpoint":4,"cycles":0}",
      "{"ts":1760000001210,"seq":1,"temperature":4.09,"humidity":61.8,"battery":61.3,"compressor":true,"setpoint":4,"cycles":0}",
    ]
  `);
});

test('the payload holds ts, seq and every field, and is what the message says', () => {
  for (const { payload, seq, timeMs, fields } of made(100)) {
    expect(JSON.parse(payload)).toEqual({ ts: timeMs, seq, ...fields });
    expect(Object.keys(fields)).toEqual(['temperature', 'humidity', 'battery', 'compressor', 'setpoint', 'cycles']);
  }
});

test('jitter moves each message, but not the pace; times rise and seq counts from 0', () => {
  const messages = made(1000);
  expect(messages.map(({ seq }) => seq)).toEqual(Array.from({ length: 1000 }, (_, n) => n));
  for (const [n, { dueMs, timeMs }] of messages.entries()) {
    expect(dueMs - startMs).toBeGreaterThanOrEqual(n * 1000);
    expect(dueMs - startMs).toBeLessThanOrEqual(n * 1000 + 500);
    expect(timeMs).toBe(Math.floor(dueMs));
  }
  expect(new Set(messages.map(({ dueMs }, n) => Math.round(dueMs - startMs - n * 1000))).size).toBeGreaterThan(100);
});

test('at one message per millisecond no two have the same time', () => {
  const messages = made(10_000, { intervalMs: 1, jitter: 1 });
  expect(new Set(messages.map(({ timeMs }) => timeMs)).size).toBe(10_000);
  for (const { timeMs, dueMs } of messages) expect(Math.abs(timeMs - dueMs)).toBeLessThan(2);
});

test('the first device crosses the limit of the demo rules within a minute, and comes back', () => {
  const seconds = made(120).map(({ fields, timeMs }) => ({
    second: (timeMs - startMs) / 1000,
    temperature: fields.temperature as number,
  }));
  const over = seconds.filter(({ temperature }) => temperature > 8).map(({ second }) => second);
  expect(over[0]).toBeGreaterThan(10);
  expect(over.at(-1)! - over[0]!).toBeGreaterThan(15);
  expect(over.at(-1)).toBeLessThan(60);
  expect(seconds.filter(({ second }) => second > 62).every(({ temperature }) => temperature < 6)).toBe(true);
});

test('names are unique, sites take turns', () => {
  const fleet = identities(25, ['a', 'b', 'c']);
  expect(new Set(fleet.map(({ device }) => device)).size).toBe(25);
  expect(fleet.slice(0, 4).map(({ site }) => site)).toEqual(['a', 'b', 'c', 'a']);
});
