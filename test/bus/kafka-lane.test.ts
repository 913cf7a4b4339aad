import { expect, test } from 'vitest';
import { chunksOf, maxPartitionBytes, maxPartitionMessages, sizeOf } from '../../bus/kafka/chunks.ts';
import { Lane, type LaneProducer } from '../../bus/kafka/lane.ts';
import type { OutgoingMessage } from '../../bus/kafka/records.ts';
import { systemClock } from '../../core/clock.ts';
import { silentLogger } from '../../core/log.ts';

function message(value: string, partition = 0): OutgoingMessage {
  return { key: 'k', value: Buffer.from(value), headers: {}, timestamp: '1700000000000', partition };
}

const several = (values: string[], partition = 0) => values.map((value) => message(value, partition));
const valuesOf = (messages: readonly OutgoingMessage[]) => messages.map(({ value }) => String(value));
const bytesOf = (messages: readonly OutgoingMessage[]) => messages.reduce((sum, each) => sum + sizeOf(each), 0);
const answer = (type: string) => Object.assign(new Error(type), { type });

/** A lane whose producers do what `send` says; `sent` holds every attempt, with the number of its producer. */
function laneWith(send: (messages: readonly OutgoingMessage[], attempt: number) => Promise<void>) {
  const sent: { producer: number; values: string[] }[] = [];
  let producers = 0;
  const connect = async (): Promise<LaneProducer> => {
    const producer = ++producers;
    return {
      send: (_, messages) => {
        sent.push({ producer, values: valuesOf(messages) });
        return send(messages, sent.length);
      },
      disconnect: async () => {},
    };
  };
  const lane = new Lane({ connect, clock: systemClock, log: silentLogger });
  const append = (messages: readonly OutgoingMessage[]) => lane.append('topic', messages, bytesOf(messages));
  return { lane, append, sent };
}

test('one send at a time, in the order of the calls', async () => {
  let underWay = 0;
  const { append, sent } = laneWith(async () => {
    expect(++underWay).toBe(1);
    await systemClock.sleep(1);
    underWay--;
  });
  await Promise.all(['a', 'b', 'c'].map((value) => append([message(value)])));
  expect(sent.flatMap(({ values }) => values)).toEqual(['a', 'b', 'c']);
});

test('the same producer sends the same batch again until it is durable, before anything newer', async () => {
  const { append, sent } = laneWith(async (_, attempt) => {
    if (attempt < 4) throw new Error('the answer is lost');
  });
  await Promise.all([append(several(['a', 'b'])), append([message('c')])]);
  const again = { producer: 1, values: ['a', 'b'] };
  expect(sent).toEqual([again, again, again, again, { producer: 1, values: ['c'] }]);
});

test('a producer that the broker does not follow any more is replaced', async () => {
  const { append, sent } = laneWith(async (_, attempt) => {
    if (attempt === 1) throw answer('OUT_OF_ORDER_SEQUENCE_NUMBER');
  });
  await append([message('a')]);
  expect(sent.map(({ producer }) => producer)).toEqual([1, 2]);
});

test('a refusal is narrowed to its message by one producer, and a partition beside it is sent again whole', async () => {
  const { append, sent } = laneWith(async (messages) => {
    if (valuesOf(messages).includes('bad')) throw answer('MESSAGE_TOO_LARGE');
  });
  const bad = message('bad', 1);
  const messages = [...several(['a', 'b', 'c']), message('d', 1), bad, message('e', 1)];
  expect(await append(messages)).toEqual([{ message: bad, reason: 'MESSAGE_TOO_LARGE' }]);
  expect(sent.map(({ values }) => values.join(' '))).toEqual([
    'a b c d bad e',
    'a b c',
    'd bad e',
    'd bad',
    'd',
    'bad',
    'e',
  ]);
  expect(new Set(sent.map(({ producer }) => producer))).toEqual(new Set([1]));
});

test('a topic that stays away is said to be missing, and what follows has a new producer', async () => {
  const { append, sent } = laneWith(async (messages) => {
    if (valuesOf(messages)[0] === 'a') throw answer('UNKNOWN_TOPIC_OR_PARTITION');
  });
  const given = append([message('a')]);
  const after = append([message('b')]);
  await expect(given).rejects.toMatchObject({ code: 'BUS_TOPIC_MISSING' });
  expect(await after).toEqual([]);
  expect(sent.at(-1)).toEqual({ producer: 2, values: ['b'] });
});

test('a send that never ends does not keep close', async () => {
  const { lane, append } = laneWith(() => new Promise(() => {}));
  const appends = ['a', 'b'].map((value) => append([message(value)]).catch((error: unknown) => error));
  await lane.close();
  for (const outcome of await Promise.all(appends)) expect(outcome).toMatchObject({ code: 'BUS_UNAVAILABLE' });
  await expect(append([message('late')])).rejects.toMatchObject({ code: 'BUS_UNAVAILABLE' });
});

test('requests are cut at the bounds of a partition, and nothing is left out or swapped', () => {
  const many = Array.from({ length: 2 * maxPartitionMessages + 1 }, (_, i) => message(`${i}`, i % 2));
  const large = Array.from({ length: 9 }, () => message('x'.repeat(maxPartitionBytes / 4)));
  for (const messages of [many, large, [...many, ...large], [message('x'.repeat(2 * maxPartitionBytes))], []]) {
    const chunks = chunksOf(messages, bytesOf(messages));
    expect(chunks.flat()).toEqual(messages);
    for (const chunk of chunks) {
      for (const share of Map.groupBy(chunk, ({ partition }) => partition).values()) {
        expect(share.length).toBeLessThanOrEqual(maxPartitionMessages);
        if (share.length > 1) expect(bytesOf(share)).toBeLessThanOrEqual(maxPartitionBytes);
      }
    }
  }
  expect(chunksOf(many, bytesOf(many))).toHaveLength(2);
});
