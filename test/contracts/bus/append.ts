import { expect, test } from 'vitest';
import type { NewRecord } from '../../../bus/port.ts';
import { RecordsRefusedError } from '../../../core/errors.ts';
import { partitionOf } from '../../../core/partition.ts';
import { errorCode } from './error-code.ts';
import { type Members, record, run, valuesOf } from './harness.ts';

export function appendContract(members: Members): void {
  test('an append that resolved is readable by another member at once', async () => {
    const [writer, reader] = [await members.open(), await members.open()];
    const topic = await members.topic({ partitions: 1 });
    for (let i = 0; i < 20; i++) {
      await writer.append(topic, [record('k', `v${i}`)]);
      const { records, endOffset } = await reader.read(topic, 0, i, 10);
      expect(valuesOf(records)).toEqual([`v${i}`]);
      expect(endOffset).toBe(i + 1);
    }
  });

  test('records reach a partition in the order of the calls and of each list', async () => {
    const bus = await members.open();
    const topic = await members.topic();
    const calls: Promise<void>[] = [];
    for (let call = 0; call < 30; call++) {
      const lists = [run(7, 0, call * 7), run(7, 1, call * 7)];
      calls.push(bus.append(topic, lists.flat()));
    }
    await Promise.all(calls);
    const expected = Array.from({ length: 210 }, (_, i) => `r${i}`);
    for (const partition of [0, 1]) {
      const { records, endOffset } = await bus.read(topic, partition, 0, 1_000);
      expect(valuesOf(records)).toEqual(expected);
      expect(records.map((each) => each.offset)).toEqual(expected.map((_, i) => i));
      expect(endOffset).toBe(210);
    }
    expect((await bus.read(topic, 2, 0, 10)).endOffset).toBe(0);
  });

  test('the key decides the partition as core/partition.ts says, and an explicit partition wins', async () => {
    const bus = await members.open();
    const topic = await members.topic({ partitions: 5 });
    const keys = ['', 'lab/s1', 'lab/s2', 'Köln/Fühler-ß', '工場/温度', '🏭/🌡', 'x'.repeat(300)];
    await bus.append(
      topic,
      keys.flatMap((key) => [record(key, 'by key'), record(key, 'explicit', { partition: 4 })]),
    );
    for (let partition = 0; partition < 5; partition++) {
      const { records } = await bus.read(topic, partition, 0, 100);
      const byKey = records.filter((each) => each.value?.toString() === 'by key');
      expect(byKey.map((each) => each.key)).toEqual(keys.filter((key) => partitionOf(key, 5) === partition));
      expect(records.filter((each) => each.value?.toString() === 'explicit')).toHaveLength(
        partition === 4 ? keys.length : 0,
      );
      expect(records.every((each) => each.partition === partition)).toBe(true);
    }
  });

  test('a record comes back as it went in: bytes, null and empty values, UTF-8 keys and headers, timestamp', async () => {
    const bus = await members.open();
    const topic = await members.topic({ partitions: 1 });
    const everyByte = Uint8Array.from({ length: 256 }, (_, i) => i);
    const sent: NewRecord[] = [
      { key: 'bytes', value: everyByte, headers: {}, timestampMs: 1_700_000_000_000 },
      { key: 'null', value: null, headers: { 'sluice.tick': '1' }, timestampMs: 1_700_000_000_001 },
      { key: 'empty', value: new Uint8Array(0), headers: { empty: '' }, timestampMs: 1_700_000_000_001 },
      { key: 'Köln/🌡', value: everyByte.subarray(250), headers: { ключ: '値 "quoted"\n\\', b: 'ß' }, timestampMs: 1 },
    ];
    await bus.append(topic, sent);
    const { records } = await bus.read(topic, 0, 0, 10);
    expect(records).toEqual(
      sent.map((each, offset) => ({
        ...each,
        value: each.value === null ? null : Buffer.from(each.value),
        partition: 0,
        offset,
      })),
    );
    expect(records.every((each) => each.value === null || Buffer.isBuffer(each.value))).toBe(true);
  });

  test("a caller may reuse the value's memory as soon as append has resolved", async () => {
    const bus = await members.open();
    const topic = await members.topic({ partitions: 1 });
    const scratch = Buffer.alloc(4);
    for (const text of ['aaaa', 'bbbb']) {
      scratch.write(text);
      await bus.append(topic, [{ key: 'k', value: scratch, headers: {}, timestampMs: 1_700_000_000_000 }]);
      expect(scratch.length).toBe(4);
    }
    expect(valuesOf((await bus.read(topic, 0, 0, 10)).records)).toEqual(['aaaa', 'bbbb']);
  });

  test('an empty append resolves, and adds nothing', async () => {
    const bus = await members.open();
    const topic = await members.topic({ partitions: 1 });
    await bus.append(topic, []);
    expect(await bus.read(topic, 0, 0, 10)).toEqual({ records: [], endOffset: 0 });
  });

  test('records that are too large are refused by index, and all others of the append are durable', async () => {
    const [writer, reader] = [await members.open(), await members.open()];
    const topic = await members.topic({ partitions: 2, maxMessageBytes: 64 * 1024 });
    const huge = 'x'.repeat(100 * 1024);
    const records = [...run(3, 0), record('k0', huge, { partition: 0 }), ...run(2, 0, 3), ...run(2, 1)];
    records.push(record('k1', huge, { partition: 1 }));

    const refusal = await writer.append(topic, records).then(
      () => null,
      (error: unknown) => error,
    );
    expect(refusal).toBeInstanceOf(RecordsRefusedError);
    const refused = (refusal as RecordsRefusedError).refused;
    expect(refused.map((each) => each.index).sort((a, b) => a - b)).toEqual([3, 8]);
    expect(refused.every((each) => each.message.length > 0)).toBe(true);
    expect(valuesOf((await reader.read(topic, 0, 0, 10)).records)).toEqual(['r0', 'r1', 'r2', 'r3', 'r4']);
    expect(valuesOf((await reader.read(topic, 1, 0, 10)).records)).toEqual(['r0', 'r1']);

    await writer.append(topic, run(1, 0, 5));
    expect(valuesOf((await reader.read(topic, 0, 5, 10)).records)).toEqual(['r5']);
  });

  test('appends pending at close end, and those that resolved are there', async () => {
    const [writer, reader] = [await members.open(), await members.open()];
    const topic = await members.topic({ partitions: 1 });
    const appends = Array.from({ length: 20 }, (_, i) => errorCode(writer.append(topic, [record('k', `v${i}`)])));
    await writer.close();
    const codes = await Promise.all(appends);
    expect(codes.every((code) => code === null || code === 'BUS_UNAVAILABLE')).toBe(true);
    const kept = valuesOf((await reader.read(topic, 0, 0, 100)).records);
    const promised = codes.flatMap((code, i) => (code === null ? [`v${i}`] : []));
    expect(kept.filter((value) => promised.includes(value!))).toEqual(promised);
  });
}
