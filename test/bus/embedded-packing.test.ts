import { expect, test } from 'vitest';
import { BATCH_BYTES, packAppend, unpackBatch } from '../../bus/embedded/packing.ts';
import type { BusRecord, NewRecord } from '../../bus/port.ts';

function newRecord(i: number, more: Partial<NewRecord> = {}): NewRecord {
  return { key: `device/${i}`, value: Buffer.from(`value ${i}`), headers: {}, timestampMs: i, partition: 0, ...more };
}

test('records of one partition are cut into batches of bounded size, in order', () => {
  const large = { value: new Uint8Array(50_000) };
  const { bytes, runs } = packAppend(
    Array.from({ length: 7 }, (_, i) => newRecord(i, large)),
    1,
    1_000_000,
  );
  expect(runs.map(({ count }) => count)).toEqual([2, 2, 2, 1]);
  expect(runs.map(({ newestMs }) => newestMs)).toEqual([1, 3, 5, 6]);
  expect(runs.every(({ start, end }) => end - start <= BATCH_BYTES)).toBe(true);
  expect(runs.at(-1)?.end).toBe(bytes.length);
});

test('unpacking starts at any offset of a batch and stops at the limit', () => {
  const { bytes, runs } = packAppend(
    Array.from({ length: 10 }, (_, i) => newRecord(i)),
    1,
    1_000,
  );
  const batch = Buffer.from(bytes.buffer, runs[0]!.start, runs[0]!.end);
  const into: BusRecord[] = [];
  unpackBatch(batch, { partition: 3, baseOffset: 100, fromOffset: 104 }, into, 3);
  expect(into.map((each) => [each.partition, each.offset, each.key, `${each.value}`])).toEqual([
    [3, 104, 'device/4', 'value 4'],
    [3, 105, 'device/5', 'value 5'],
    [3, 106, 'device/6', 'value 6'],
  ]);
});

test('a record without a time is refused alone, and one of a partition that is not there is a fault of the caller', () => {
  const { refused, runs } = packAppend([newRecord(0), newRecord(1, { timestampMs: Number.NaN })], 1, 1_000);
  expect(refused.map(({ index }) => index)).toEqual([1]);
  expect(runs.map(({ count }) => count)).toEqual([1]);
  expect(() => packAppend([newRecord(0, { partition: 1 })], 1, 1_000)).toThrow(RangeError);
});
