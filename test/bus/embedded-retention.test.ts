import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { openBus, record, temporaryFolder, topic } from './embedded-fixture.ts';

const retentionEveryMs = 1_000;

/** Lets retention run, with time going on, until what it should leave is all that is left. */
function retained(clock: ManualClock, check: () => Promise<boolean>): Promise<unknown> {
  return eventually(async () => {
    clock.advance(retentionEveryMs);
    return check();
  });
}

test('records past their age go, newer ones stay, and an offset is never used twice', async () => {
  const clock = new ManualClock();
  const file = join(await temporaryFolder(), 'bus.db');
  const bus = await openBus(file, { clock, retentionEveryMs });
  await bus.createTopics([topic('topic', { retentionMs: 60_000 })]);
  const append = (value: string) => bus.append('topic', [record(value, { timestampMs: clock.nowMs() })]);
  const offsets = async () => (await bus.read('topic', 0, 0, 100)).records.map((each) => each.offset);

  await append('old');
  await append('old too');
  clock.advance(59_000);
  await append('new');
  clock.advance(2_000);
  await retained(clock, async () => (await offsets()).length === 1);
  expect(await offsets()).toEqual([2]);

  clock.advance(120_000);
  await retained(clock, async () => (await offsets()).length === 0);
  expect(await bus.read('topic', 0, 0, 100)).toEqual({ records: [], endOffset: 3 });
  await bus.close();

  const reopened = await openBus(file, { clock });
  await reopened.append('topic', [record('after', { timestampMs: clock.nowMs() })]);
  const { records, endOffset } = await reopened.read('topic', 0, 0, 100);
  expect([records.map((each) => each.offset), endOffset]).toEqual([[3], 4]);
});

test('a consumer whose next records were deleted goes on with the first that is kept', async () => {
  const clock = new ManualClock();
  const bus = await openBus(join(await temporaryFolder(), 'bus.db'), { clock, retentionEveryMs });
  await bus.createTopics([topic('topic', { retentionMs: 10_000 })]);
  await bus.append('topic', [record('gone', { timestampMs: clock.nowMs() })]);
  clock.advance(20_000);
  await retained(clock, async () => (await bus.read('topic', 0, 0, 1)).records.length === 0);
  const seen: [number, string][] = [];
  const consumption = await bus.consume(
    'topic',
    'group',
    async (batch) => void seen.push(...batch.records.map((each): [number, string] => [each.offset, `${each.value}`])),
    { sessionTimeoutMs: 10_000, maxBatchRecords: 10 },
  );
  await bus.append('topic', [record('kept', { timestampMs: clock.nowMs() })]);
  await eventually(() => seen.length === 1);
  expect(seen).toEqual([[1, 'kept']]);
  expect((await bus.lag('topic', 'group')).records).toBe(1);
  await consumption.close();
});

test('the bytes of a partition are bounded, and so are the file and its log, though a handler never ends', async () => {
  const clock = new ManualClock();
  const file = join(await temporaryFolder(), 'bus.db');
  const bus = await openBus(file, { clock, retentionEveryMs });
  const megabyte = 1024 * 1024;
  await bus.createTopics([topic('topic', { retentionBytes: 2 * megabyte })]);
  const held = Promise.withResolvers<void>();
  const consumption = await bus.consume('topic', 'group', () => held.promise, {
    sessionTimeoutMs: 3_600_000,
    maxBatchRecords: 10,
  });
  const chunk = record(new Uint8Array(64 * 1024).fill(7));
  const kept = async () => (await bus.read('topic', 0, 0, 10_000)).records.length * 64 * 1024;
  for (let round = 0; round < 20; round++) {
    for (let i = 0; i < 8; i++) await bus.append('topic', Array(8).fill(chunk));
    await retained(clock, async () => (await kept()) <= 2 * megabyte);
  }
  expect(await kept()).toBeGreaterThanOrEqual(1.5 * megabyte);
  expect((await stat(file)).size).toBeLessThan(12 * megabyte);
  expect((await stat(`${file}-wal`)).size).toBeLessThan(16 * megabyte);
  held.resolve();
  await consumption.close();
});

test('deleting goes in slices, so that an append never waits long behind it', async () => {
  const clock = new ManualClock();
  const bus = await openBus(join(await temporaryFolder(), 'bus.db'), { clock, retentionEveryMs });
  await bus.createTopics([topic('topic', { retentionMs: 1_000, partitions: 1 })]);
  const old = Array.from({ length: 20 }, () => record(new Uint8Array(1_000), { timestampMs: clock.nowMs() }));
  for (let i = 0; i < 3_000; i++) await bus.append('topic', old);
  clock.advance(10_000);
  const waitsMs: number[] = [];
  await eventually(
    async () => {
      clock.advance(retentionEveryMs);
      const startedAt = performance.now();
      await bus.append('topic', [record('new', { timestampMs: clock.nowMs() })]);
      waitsMs.push(performance.now() - startedAt);
      return (await bus.read('topic', 0, 0, 1)).records[0]?.value?.toString() === 'new';
    },
    { everyMs: 0 },
  );
  expect(waitsMs.length).toBeGreaterThan(2);
  expect(waitsMs.sort((a, b) => a - b)[waitsMs.length >> 1]).toBeLessThan(40);
});

test('a compacted topic keeps one record per key, and a deletion for its time only', async () => {
  const clock = new ManualClock();
  const bus = await openBus(join(await temporaryFolder(), 'bus.db'), {
    clock,
    retentionEveryMs,
    tombstoneRetentionMs: 60_000,
  });
  await bus.createTopics([topic('topic', { cleanup: 'compact' })]);
  for (let i = 0; i < 100; i++) {
    await bus.append('topic', [
      record(`a${i}`, { key: 'a' }),
      record(`b${i}`, { key: 'b' }),
      record(`c${i}`, { key: 'c' }),
    ]);
  }
  await bus.append('topic', [record(null, { key: 'b' })]);
  const kept = async () =>
    (await bus.read('topic', 0, 0, 1_000)).records.map((each) => [
      each.key,
      each.value?.toString() ?? null,
      each.offset,
    ]);
  expect(await kept()).toEqual([
    ['a', 'a99', 297],
    ['c', 'c99', 299],
    ['b', null, 300],
  ]);
  clock.advance(61_000);
  await retained(clock, async () => (await kept()).length === 2);
  expect((await bus.read('topic', 0, 0, 1_000)).endOffset).toBe(301);
  await bus.append('topic', [record('b again', { key: 'b' })]);
  expect((await kept()).at(-1)).toEqual(['b', 'b again', 301]);
});
