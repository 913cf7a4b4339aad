/** Our encoder of record batches against the client's own: the same bytes. */
import { createRequire } from 'node:module';
import { expect, test } from 'vitest';
import { type BatchParts, makeEncoder, type RecordParts } from '../../bus/kafka/batch/encoder.ts';
import { groupByPartition } from '../../bus/kafka/batch/grouping.ts';
import { randomStream } from '../../simulator/random.ts';

const require = createRequire(import.meta.url);
const client = <Part>(path: string) => require(`kafkajs/src/${path}`) as Part;

const encodeRecord = client<(record: object) => object>('protocol/recordBatch/record/v0/index.js');
const { RecordBatch: theirs } = client<{ RecordBatch: (parts: object) => Promise<{ buffer: Buffer }> }>(
  'protocol/recordBatch/v0/index.js',
);
const groupAsTheirs = client<(grouping: object) => Record<string, object[]>>('producer/groupMessagesPerPartition.js');
const ours = makeEncoder(client<(bytes: Buffer) => number>('protocol/recordBatch/crc32C/index.js'));

const random = randomStream(Number(process.env.SLUICE_TEST_SEED ?? 1));
const below = (bound: number) => Math.floor(random() * bound);
const oneOf = <T>(...choices: readonly T[]) => choices[below(choices.length)]!;
const bytes = (most: number) => Buffer.from(Array.from({ length: below(most) }, () => below(256)));
const text = () => 'halle/größe-✓-😀/'.repeat(below(20)).slice(0, below(200));

type Part = string | Buffer | null;

function someRecord(_: unknown, offsetDelta: number): RecordParts {
  const headers = ['ingest.id', 'mqtt.topic', 'größe', '']
    .slice(0, below(5))
    .map((name) => [name, oneOf<Part | Part[]>(text(), bytes(200), [text(), bytes(9)])] as const);
  return {
    key: oneOf<Part>(null, text(), bytes(30)),
    value: oneOf(null, bytes(300), Buffer.alloc(below(20_000), 'x')),
    ...oneOf({}, { headers: Object.fromEntries(headers) }),
    offsetDelta,
    timestampDelta: oneOf(0, 1, -1, 63, 64, 8191, -8192, 2 ** 31, -(2 ** 33), below(2 ** 40)),
  };
}

function someBatch(): BatchParts {
  const records = Array.from({ length: 1 + below(40) }, someRecord);
  return {
    records,
    compression: 0,
    firstTimestamp: oneOf<string | number>(String(below(2 ** 45)), 1_760_000_000_000 + below(1e9)),
    maxTimestamp: String(1_760_000_000_000 + below(1e9)),
    lastOffsetDelta: records.length - 1,
    transactional: oneOf(true, false),
    producerId: oneOf('-1', String(below(2 ** 50))),
    producerEpoch: below(2 ** 15),
    firstSequence: below(2 ** 31),
  };
}

test('a batch has the bytes that the client would give it', async () => {
  for (let i = 0; i < 300; i++) {
    const batch = someBatch();
    const expected = (await theirs({ ...batch, records: batch.records.map(encodeRecord) })).buffer;
    const encoded = await ours(batch);
    expect(encoded.buffer.equals(expected), `batch ${i}`).toBe(true);
    expect(encoded.size()).toBe(expected.length);
    expect(encoded.buf).toBe(encoded.buffer);
  }
});

test('a batch that is to be compressed is refused: we would send it as it is', async () => {
  await expect(ours({ ...someBatch(), compression: 1 })).rejects.toThrow('compressed');
});

test('messages are grouped by partition as the client does', () => {
  const messages = Array.from({ length: 200 }, (_, id) => ({ id, partition: below(7) }));
  const partitioner = ({ message }: { message: (typeof messages)[number] }) => message.partition;
  const expected = groupAsTheirs({ topic: 't', partitionMetadata: [{}], messages, partitioner });
  expect(groupByPartition({ messages, partitioner })).toStrictEqual(expected);
});
