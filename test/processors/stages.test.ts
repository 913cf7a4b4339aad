import { describe, expect, test } from 'vitest';
import type { Reading } from '../../core/reading.ts';
import { StateReader, StateWriter } from '../../processors/codec.ts';
import { Decoder, Ignored } from '../../processors/decode/decoder.ts';
import { Undecodable } from '../../processors/decode/undecodable.ts';
import { DUPLICATE, SeenReadings } from '../../processors/dedup.ts';
import { identityHash } from '../../processors/identity.ts';
import { Redelivery } from '../../processors/redelivery.ts';
import { rfc3339 } from '../../processors/rfc3339.ts';
import { rawRecord, startMs } from './records.ts';

function reading(over: Partial<Reading> = {}): Reading {
  const timeUs = startMs * 1000;
  return {
    site: 'lab',
    device: 's1',
    timeUs,
    seq: null,
    fields: { a: 1 },
    receivedAtMs: startMs,
    clock: 'device',
    ...over,
  };
}

describe('identity', () => {
  test('does not depend on the order of the fields', () => {
    expect(identityHash(reading({ fields: { a: 1, b: 'x' } }))).toBe(
      identityHash(reading({ fields: { b: 'x', a: 1 } })),
    );
  });

  test('tells values, types, names and seq apart', () => {
    const readings = [
      reading(),
      reading({ seq: 0 }),
      reading({ seq: 1 }),
      reading({ fields: { a: 2 } }),
      reading({ fields: { a: '1' } }),
      reading({ fields: { a: true } }),
      reading({ fields: { a: false } }),
      reading({ fields: { b: 1 } }),
      reading({ fields: { a: 1, b: 1 } }),
    ];
    expect(new Set(readings.map(identityHash)).size).toBe(readings.length);
  });

  test('hardly ever falls together for a million values that differ little', () => {
    const hashes = new Set<number>();
    for (let i = 0; i < 1_000_000; i++) hashes.add(identityHash(reading({ fields: { t: 20 + i / 1000, u: i % 7 } })));
    // A perfect hash of 32 bits has 116 pairs among a million.
    expect(1_000_000 - hashes.size).toBeLessThan(200);
  });
});

describe('seen readings', () => {
  const place = (seen: SeenReadings, one: Reading) => seen.place(one, identityHash(one));

  test('a reading is a duplicate wherever it stands in time', () => {
    const seen = new SeenReadings();
    const readings = [5, 1, 3, 2, 4].map((n) => reading({ timeUs: n * 1000, fields: { n } }));
    expect(readings.map((one) => place(seen, one))).toEqual([0, 0, 0, 0, 0]);
    expect(readings.map((one) => place(seen, one))).toEqual(Array(5).fill(DUPLICATE));
  });

  test('without a time of its own, seq and fields tell a resend; without seq nothing does', () => {
    const seen = new SeenReadings();
    const untimed = (timeUs: number, seq: number | null) => reading({ timeUs, seq, clock: 'gateway' });
    expect(place(seen, untimed(1000, 7))).toBe(0);
    expect(place(seen, untimed(2000, 7))).toBe(DUPLICATE);
    expect(place(seen, untimed(3000, null))).toBe(0);
    expect(place(seen, untimed(3000, null))).toBeGreaterThan(0);
  });
});

describe('redelivery', () => {
  test('a counter of a gateway run that does not rise is a repetition; runs do not disturb each other', () => {
    const redelivery = new Redelivery(1000);
    const ids = ['a-b-1', 'a-b-2', 'c-1', 'a-b-2', 'a-b-1', 'c-2', 'c-2', 'a-b-3'];
    expect(ids.map((id) => redelivery.isRepeat(id, 0))).toEqual([false, false, false, true, true, false, true, false]);
  });

  test('an id of another form says nothing', () => {
    const redelivery = new Redelivery(1000);
    for (const id of ['', 'x', '-1', 'run-', 'run-1x', '', 'x', 'run-']) expect(redelivery.isRepeat(id, 0)).toBe(false);
  });

  test('a run is forgotten after the time that was set', () => {
    const redelivery = new Redelivery(1000);
    redelivery.isRepeat('a-5', 0);
    redelivery.isRepeat('b-1', 999);
    expect(redelivery.isRepeat('a-5', 999)).toBe(true);
    redelivery.isRepeat('c-1', 1999);
    expect(redelivery.isRepeat('a-5', 1999)).toBe(false);
  });
});

describe('decoding', () => {
  const decode = (payload: object | string, headers: Record<string, string> = {}) =>
    new Decoder().decode(rawRecord({ payload, atMs: 0, headers }, 0));

  test('time to the microsecond, nested objects by path, nothing for null', () => {
    expect(decode({ ts: startMs + 0.25, seq: 3, a: 1, b: null, motor: { rpm: 9, bearing: { hot: false } } })).toEqual([
      reading({ timeUs: startMs * 1000 + 250, seq: 3, fields: { a: 1, 'motor.rpm': 9, 'motor.bearing.hot': false } }),
    ]);
  });

  test('no ts: the time of the gateway', () => {
    expect(decode({ a: 1 })).toEqual([reading({ clock: 'gateway' })]);
  });

  test.each<[string, object | string]>([
    ['not_utf8', ''],
    ['bad_timestamp', { ts: 1.8e15, a: 1 }],
    ['bad_timestamp', { ts: -1, a: 1 }],
    ['bad_seq', { seq: 1.5, a: 1 }],
    ['bad_field_name', { ['a'.repeat(201)]: 1 }],
    ['bad_field_name', { 'a\n': 1 }],
    ['bad_field_name', '{"__proto__": 1}'],
    ['unsupported_value', { a: { b: { c: { d: { e: { f: { g: { h: { i: 1 } } } } } } } } }],
    ['no_fields', { a: {} }],
  ])('%s', (reason, payload) => {
    const record = rawRecord({ payload, atMs: 0 }, 0);
    const value = reason === 'not_utf8' ? Buffer.from([0x7b, 0xff, 0x7d]) : record.value;
    const decoded = new Decoder().decode({ ...record, value });
    expect(decoded).toBeInstanceOf(Undecodable);
    expect((decoded as Undecodable).reason).toBe(reason);
  });

  test('an empty retained message is ignored, any other empty one is not', () => {
    expect(decode('', { 'mqtt.retain': '1' })).toBeInstanceOf(Ignored);
    expect(decode('')).toMatchObject({ reason: 'empty_payload' });
  });

  test('a record whose key is not the device of its topic is no one’s', () => {
    expect(decode({ a: 1 }, { 'mqtt.topic': 'iot/lab/s2/telemetry' })).toMatchObject({ reason: 'no_route' });
  });
});

test('what the codec writes it reads, bit for bit', () => {
  const doubles = [0, -0, 1.1, Number.NEGATIVE_INFINITY, 5e-324, 1.7e308];
  const uints = [0, 127, 128, 2 ** 31, 2 ** 32 + 5, Number.MAX_SAFE_INTEGER];
  const to = new StateWriter();
  for (const value of uints) to.uint(value);
  to.doubles(doubles);
  to.text('größer');
  to.uint32(0xffff_ffff);
  to.bytes(Buffer.alloc(100_000, 7));
  const from = new StateReader(to.finish());
  expect(uints.map(() => from.uint())).toEqual(uints);
  expect(from.doubles()).toEqual(doubles);
  expect(from.text()).toBe('größer');
  expect(from.uint32()).toBe(0xffff_ffff);
  expect(from.bytes()).toEqual(Buffer.alloc(100_000, 7));
  expect(() => from.bytes()).toThrow(RangeError);
});

test('times are told to the microsecond where there are any', () => {
  expect(rfc3339(startMs * 1000)).toBe('2026-01-01T12:00:00.000Z');
  expect(rfc3339(startMs * 1000 + 7)).toBe('2026-01-01T12:00:00.000007Z');
});
