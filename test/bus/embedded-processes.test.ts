import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { expect, test } from 'vitest';
import type { Batch, Consumption } from '../../bus/port.ts';
import { systemClock } from '../../core/clock.ts';
import { eventually } from '../support/eventually.ts';
import { openBus, record, startProcess, temporaryFolder, topic } from './embedded-fixture.ts';

test('a member stopped past its session loses the partition, and its commit after it wakes up is refused', async () => {
  const file = join(await temporaryFolder(), 'bus.db');
  const bus = await openBus(file);
  await bus.createTopics([topic('topic')]);
  await bus.append('topic', [record('one'), record('two')]);

  const sleeper = startProcess('consume', file);
  await eventually(() => sleeper.lines.includes('holding'));
  sleeper.kill('SIGSTOP');

  const taken: Batch[] = [];
  const taker = await bus.consume(
    'topic',
    'group',
    async (batch) => {
      taken.push(batch);
      if (!batch.closing) await batch.commit(1, 'taken over');
    },
    { sessionTimeoutMs: 1_000, maxBatchRecords: 10 },
  );
  await eventually(() => taken.length > 0);
  expect(taken[0]?.assignment).toEqual({ committed: null });

  sleeper.say('commit');
  sleeper.kill('SIGCONT');
  await eventually(() => sleeper.lines.length >= 2);
  expect(sleeper.lines[1]).toBe('BUS_ASSIGNMENT_LOST');
  await eventually(async () => (await bus.lag('topic', 'group')).records === 1);
  await taker.close();
  await taker.failed;
});

test('a member that only idles is heard of, however long, and keeps its partitions', async () => {
  const file = join(await temporaryFolder(), 'bus.db');
  const bus = await openBus(file);
  await bus.createTopics([topic('topic', { partitions: 2 })]);
  const assignments: number[] = [];
  const options = { sessionTimeoutMs: 150, maxBatchRecords: 10 };
  const consumption = await bus.consume(
    'topic',
    'group',
    async (batch) => {
      if (batch.assignment !== null) assignments.push(batch.partition);
    },
    options,
  );
  await bus.append('topic', [record('a', { partition: 0 }), record('a', { partition: 1 })]);
  await systemClock.sleep(1_000);
  await bus.append('topic', [record('b', { partition: 0 }), record('b', { partition: 1 })]);
  await eventually(() => assignments.length === 2);
  expect(consumption.assigned()).toEqual([0, 1]);
  await consumption.close();
  expect(assignments.sort()).toEqual([0, 1]);
});

test('partitions are shared out evenly among any number of members, and no partition twice', async () => {
  const file = join(await temporaryFolder(), 'bus.db');
  const buses = await Promise.all(Array.from({ length: 5 }, () => openBus(file)));
  await buses[0]!.createTopics([topic('topic', { partitions: 12 })]);
  const members: Consumption[] = [];
  const options = { sessionTimeoutMs: 3_000, maxBatchRecords: 10 };
  const shares = () => members.map((member) => member.assigned().length).sort();
  for (const [i, bus] of buses.entries()) {
    members.push(await bus.consume('topic', 'group', async () => {}, options));
    const even = Array.from({ length: i + 1 }, (_, rank) => Math.floor((12 + rank) / (i + 1)));
    await eventually(() => JSON.stringify(shares()) === JSON.stringify(even));
    const owned = members.flatMap((member) => member.assigned());
    expect(new Set(owned).size).toBe(12);
  }
  await Promise.all(members.slice(1).map((member) => member.close()));
  await eventually(() => members[0]!.assigned().length === 12);
});

test('another connection sees an append within 50 ms', async () => {
  const file = join(await temporaryFolder(), 'bus.db');
  const [writer, reader] = [await openBus(file), await openBus(file)];
  await writer.createTopics([topic('topic')]);
  const seenAt: number[] = [];
  await reader.follow('topic', 'end', (records) => seenAt.push(...records.map(() => performance.now())));
  const delays: number[] = [];
  for (let i = 0; i < 20; i++) {
    await writer.append('topic', [record(`${i}`)]);
    const durableAt = performance.now();
    await eventually(() => seenAt.length === i + 1, { everyMs: 1 });
    delays.push(seenAt[i]! - durableAt);
  }
  expect(delays.sort((a, b) => a - b)[10]).toBeLessThan(50);
});

test('a process that appends without a pause does not keep another one out', async () => {
  const file = join(await temporaryFolder(), 'bus.db');
  const bus = await openBus(file);
  await bus.createTopics([topic('topic')]);
  const busy = startProcess('append', file, '0');
  await eventually(() => busy.lines.length > 0);
  const waitsMs: number[] = [];
  for (let i = 0; i < 100; i++) {
    const startedAt = performance.now();
    await bus.append('topic', [record('ours', { key: 'other' })]);
    waitsMs.push(performance.now() - startedAt);
  }
  const soFar = busy.lines.length;
  await eventually(() => busy.lines.length > soFar);
  expect(waitsMs.sort((a, b) => a - b)[95]).toBeLessThan(500);
});

test('while another process holds the lock an append waits for it, and past the bound it is refused', async () => {
  const file = join(await temporaryFolder(), 'bus.db');
  const bus = await openBus(file, { lockTimeoutMs: 200 });
  await bus.createTopics([topic('topic')]);
  const other = new DatabaseSync(file);
  other.exec('BEGIN IMMEDIATE');
  await expect(bus.append('topic', [record('refused')])).rejects.toMatchObject({ code: 'BUS_UNAVAILABLE' });
  const waiting = bus.append('topic', [record('waits')]);
  other.exec('COMMIT');
  other.close();
  await waiting;
  const { records } = await bus.read('topic', 0, 0, 10);
  expect(records.map((each) => each.value?.toString())).toEqual(['waits']);
});

test('what was refused with its transaction is not written by a later one', async () => {
  const file = join(await temporaryFolder(), 'bus.db');
  const bus = await openBus(file);
  await bus.createTopics([topic('topic')]);
  const other = new DatabaseSync(file);
  other.exec('BEGIN IMMEDIATE');
  const values = ['first', 'second'];
  const appends = Promise.allSettled(values.map((value) => bus.append('topic', [record(value)])));
  await bus.partitionCount('topic');
  // Not an integer: the file refuses it, and the whole transaction with it.
  const broken = bus.createTopics([topic('broken', { maxMessageBytes: 0.5 })]);
  other.exec('COMMIT');
  other.close();
  await expect(broken).rejects.toMatchObject({ code: 'BUS_UNAVAILABLE' });
  const promised = (await appends).flatMap(({ status }, i) => (status === 'fulfilled' ? [values[i]] : []));
  await bus.append('topic', [record('after')]);
  const { records } = await bus.read('topic', 0, 0, 10);
  expect(records.map((each) => each.value?.toString())).toEqual([...promised, 'after']);
});

test('a file of a newer schema is refused with what to do', async () => {
  const file = join(await temporaryFolder(), 'bus.db');
  const bus = await openBus(file);
  await bus.close();
  const raw = new DatabaseSync(file);
  raw.exec('PRAGMA user_version = 99');
  raw.close();
  await expect(openBus(file)).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
    message: expect.stringContaining('newer Sluice'),
  });
});

test('appends that wait for the disk are bounded: past the bound they are refused, then go on', async () => {
  const file = join(await temporaryFolder(), 'bus.db');
  const bus = await openBus(file, { maxPendingBytes: 1_000_000 });
  await bus.createTopics([topic('topic')]);
  const chunk = record(new Uint8Array(300_000));
  const outcomes = await Promise.allSettled(Array.from({ length: 6 }, () => bus.append('topic', [chunk])));
  expect(outcomes.map(({ status }) => status)).toEqual([...Array(3).fill('fulfilled'), ...Array(3).fill('rejected')]);
  expect(outcomes[5]).toMatchObject({ reason: { code: 'BUS_UNAVAILABLE' } });
  await bus.append('topic', [chunk]);
  expect((await bus.read('topic', 0, 0, 10)).endOffset).toBe(4);
});
