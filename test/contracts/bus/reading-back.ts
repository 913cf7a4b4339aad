import { expect, test } from 'vitest';
import type { BusRecord } from '../../../bus/port.ts';
import { eventually } from '../../support/eventually.ts';
import { groupDeadline, type Members, record, run, valuesOf } from './harness.ts';

export function readingBackContract(members: Members): void {
  test('read gives the records of a partition from an offset, at most so many, and where it ends', async () => {
    const bus = await members.open();
    const topic = await members.topic({ partitions: 2 });
    for (let i = 0; i < 5; i++) await bus.append(topic, run(50, 1, i * 50));
    const offsets = async (from: number, limit: number) => {
      const { records, endOffset } = await bus.read(topic, 1, from, limit);
      expect(endOffset).toBe(250);
      return records.map((each) => each.offset);
    };
    const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i);
    expect(await offsets(0, 250)).toEqual(range(0, 250));
    expect(await offsets(0, 1_000)).toEqual(range(0, 250));
    expect(await offsets(0, 60)).toEqual(range(0, 60));
    expect(await offsets(45, 10)).toEqual(range(45, 55));
    expect(await offsets(249, 10)).toEqual([249]);
    expect(await offsets(250, 10)).toEqual([]);
    expect(await bus.read(topic, 0, 0, 10)).toEqual({ records: [], endOffset: 0 });
  });

  test('offsetAt: nothing before it is as new as the time, whatever the order of the timestamps', async () => {
    const bus = await members.open();
    const topic = await members.topic({ partitions: 2 });
    const startMs = Date.now() - 60_000;
    const laterMs = [0, 1000, 1000, 5000, 2000, 9000, 3000];
    for (const [i, ms] of laterMs.entries()) {
      await bus.append(topic, [record('k', `r${i}`, { partition: 1, timestampMs: startMs + ms })]);
    }
    const first = (ms: number) => laterMs.findIndex((each) => each >= ms);
    for (const ms of [0, 1, 1000, 1001, 2500, 6000, 9000]) {
      const offset = await bus.offsetAt(topic, 1, startMs + ms);
      expect([ms, offset]).toEqual([ms, first(ms)]);
    }
    expect(await bus.offsetAt(topic, 1, 0)).toBe(0);
    expect(await bus.offsetAt(topic, 1, startMs + 9001)).toBe(laterMs.length);
    expect(await bus.offsetAt(topic, 0, startMs)).toBe(0);
  });

  test('following from the beginning gives everything that was there before it resolves, then what comes', async () => {
    const [writer, reader] = [await members.open(), await members.open()];
    const topic = await members.topic({ partitions: 4 });
    for (let i = 0; i < 3; i++)
      await writer.append(
        topic,
        [0, 1, 2].flatMap((partition) => run(40, partition, i * 40)),
      );
    const seen: BusRecord[] = [];
    const following = await reader.follow(topic, 'beginning', (records) => seen.push(...records));
    expect(seen).toHaveLength(360);

    await writer.append(topic, run(10, 3));
    await eventually(() => seen.length === 370, groupDeadline);
    for (const [partition, count] of [120, 120, 120, 10].entries()) {
      const own = seen.filter((each) => each.partition === partition);
      expect(own.map((each) => each.offset)).toEqual(Array.from({ length: count }, (_, i) => i));
    }
    await following.close();
    await following.close();
    await writer.append(topic, run(1, 0, 999));
    await reader.ping();
    expect(seen).toHaveLength(370);
  });

  test('following from the end gives only what is appended after it resolved', async () => {
    const bus = await members.open();
    const topic = await members.topic();
    await bus.append(
      topic,
      [0, 1, 2].flatMap((partition) => run(5, partition)),
    );
    const seen: BusRecord[] = [];
    const following = await bus.follow(topic, 'end', (records) => seen.push(...records));
    await bus.append(
      topic,
      [0, 1, 2].map((partition) => record('k', `new ${partition}`, { partition })),
    );
    await eventually(() => seen.length >= 3, groupDeadline);
    expect(valuesOf(seen).sort()).toEqual(['new 0', 'new 1', 'new 2']);
    expect(seen.every((each) => each.offset === 5)).toBe(true);
    await following.close();
  });

  test('following an empty topic resolves at once', async () => {
    const bus = await members.open();
    const following = await bus.follow(await members.topic(), 'beginning', () => {});
    await following.close();
  });

  test('closing the bus ends its followings', async () => {
    const [one, two] = [await members.open(), await members.open()];
    const topic = await members.topic();
    const seen: BusRecord[] = [];
    const following = await one.follow(topic, 'beginning', (records) => seen.push(...records));
    await one.close();
    await two.append(topic, run(1, 0));
    await following.close();
    expect(seen).toEqual([]);
  });

  test('of a compacted topic the newest record per key is always there', async () => {
    const bus = await members.open();
    const topic = await members.topic({ cleanup: 'compact' });
    for (let round = 0; round < 20; round++) {
      await bus.append(
        topic,
        ['a', 'b', 'c', 'gone'].map((key) => record(key, `${key}${round}`)),
      );
    }
    await bus.append(topic, [record('gone', null)]);
    const newest = new Map<string, string | null>();
    const following = await bus.follow(topic, 'beginning', (records) => {
      for (const each of records) newest.set(each.key, each.value?.toString() ?? null);
    });
    await following.close();
    expect([newest.get('a'), newest.get('b'), newest.get('c')]).toEqual(['a19', 'b19', 'c19']);
    expect(newest.get('gone') ?? null).toBe(null);
  });
}
