import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openBus, record, temporaryFolder, topic } from './embedded-fixture.ts';

test('what is before the offset goes, as far as commits end before it, and stays gone', async () => {
  const file = join(await temporaryFolder(), 'bus.db');
  const bus = await openBus(file);
  await bus.createTopics([topic('topic', { partitions: 2 })]);
  expect(await bus.kept('topic')).toEqual(Array(2).fill({ firstOffset: 0, endOffset: 0, bytes: 0 }));
  for (const values of [['a', 'b'], ['c', 'd', 'e'], ['f']]) {
    await bus.append(
      'topic',
      values.map((value) => record(value, { partition: 1 })),
    );
  }
  const [other, full] = await bus.kept('topic');
  expect(full).toMatchObject({ firstOffset: 0, endOffset: 6 });
  const each = full!.bytes / 6;

  await bus.trim('topic', 1, 4);
  expect(await bus.kept('topic')).toEqual([other, { firstOffset: 2, endOffset: 6, bytes: 4 * each }]);
  expect((await bus.read('topic', 1, 0, 10)).records.map(({ offset }) => offset)).toEqual([2, 3, 4, 5]);
  await bus.trim('topic', 1, 6);
  await bus.close();

  const reopened = await openBus(file);
  expect((await reopened.kept('topic'))[1]).toEqual({ firstOffset: 6, endOffset: 6, bytes: 0 });
  await reopened.append('topic', [record('g', { partition: 1 })]);
  expect((await reopened.read('topic', 1, 0, 10)).records.map(({ offset }) => offset)).toEqual([6]);
});

test('the space is used again', async () => {
  const file = join(await temporaryFolder(), 'bus.db');
  const bus = await openBus(file);
  await bus.createTopics([topic('topic')]);
  const records = Array.from({ length: 16 }, () => record(new Uint8Array(64 * 1024)));
  for (let round = 1; round <= 20; round++) {
    await bus.append('topic', records);
    await bus.trim('topic', 0, round * records.length);
  }
  expect((await stat(file)).size).toBeLessThan(4 * 1024 * 1024);
});
