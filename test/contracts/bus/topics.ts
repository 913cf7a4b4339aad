import { expect, test } from 'vitest';
import { errorCode } from './error-code.ts';
import { type Members, record, sessionTimeoutMs, topicSpec } from './harness.ts';

export function topicContract(members: Members): void {
  test('creating topics creates what is missing, says what that was, and leaves the rest', async () => {
    const bus = await members.open();
    const one = topicSpec(`${await members.topic()}.one`);
    const two = topicSpec(`${await members.topic()}.two`, { partitions: 5, cleanup: 'compact' });

    expect(await bus.createTopics([one])).toEqual([one.name]);
    expect(await bus.createTopics([one, two])).toEqual([two.name]);
    expect(await bus.createTopics([one, two])).toEqual([]);
    expect(await bus.partitionCount(one.name)).toBe(3);
    expect(await bus.partitionCount(two.name)).toBe(5);
  });

  test('a topic that exists with another partition count is refused by name', async () => {
    const bus = await members.open();
    const topic = await members.topic({ partitions: 3 });
    await expect(bus.createTopics([topicSpec(topic, { partitions: 4 })])).rejects.toThrow(topic);
    expect(await bus.partitionCount(topic)).toBe(3);
  });

  test('a topic that does not exist is BUS_TOPIC_MISSING for every verb, and no verb creates it', async () => {
    const bus = await members.open();
    const missing = `${await members.topic()}.missing`;
    const options = { sessionTimeoutMs, maxBatchRecords: 10 };
    expect(await errorCode(bus.partitionCount(missing))).toBe('BUS_TOPIC_MISSING');
    expect(await errorCode(bus.append(missing, [record('k', 'v')]))).toBe('BUS_TOPIC_MISSING');
    expect(await errorCode(bus.read(missing, 0, 0, 1))).toBe('BUS_TOPIC_MISSING');
    expect(await errorCode(bus.follow(missing, 'beginning', () => {}))).toBe('BUS_TOPIC_MISSING');
    expect(await errorCode(bus.consume(missing, 'group', async () => {}, options))).toBe('BUS_TOPIC_MISSING');
    expect(await errorCode(bus.lag(missing, 'group'))).toBe('BUS_TOPIC_MISSING');
    expect(await errorCode(bus.partitionCount(missing))).toBe('BUS_TOPIC_MISSING');
  });

  test('start and close are idempotent, and a closed bus takes nothing', async () => {
    const bus = await members.open();
    const topic = await members.topic();
    await bus.start();
    await bus.ping();
    await bus.close();
    await bus.close();
    expect(await errorCode(bus.append(topic, [record('k', 'v')]))).toBe('BUS_UNAVAILABLE');
    expect(await errorCode(bus.ping())).toBe('BUS_UNAVAILABLE');
  });
}
