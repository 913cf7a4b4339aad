/** Our decoder of record batches against the client's own, on batches that the client has encoded. */
import { deepStrictEqual } from 'node:assert';
import { createRequire } from 'node:module';
import { describe, expect, test } from 'vitest';
import {
  type BatchSource,
  type ClientParts,
  FetchedRecord,
  makeDecoder,
  type RecordBatch,
} from '../../bus/kafka/batch/decoder.ts';
import { recordOf } from '../../bus/kafka/records.ts';
import { randomStream } from '../../simulator/random.ts';

const require = createRequire(import.meta.url);
const client = <Part>(path: string) => require(`kafkajs/src/protocol/${path}`) as Part;

type Encode = (parts: object) => Promise<{ readonly buffer: Buffer }>;
const Source = client<new (bytes: Buffer) => BatchSource>('decoder.js');
const encodeRecord = client<(record: object) => object>('recordBatch/record/v0/index.js');
const { RecordBatch: encodeBatch } = client<{ RecordBatch: Encode }>('recordBatch/v0/index.js');
const theirs = client<(source: BatchSource) => Promise<RecordBatch>>('recordBatch/v0/decoder.js');
const compression = client<{ lookupCodecByAttributes: ClientParts['codecOf'] }>('message/compression/index.js');

class Partial extends Error {}
const ours = makeDecoder({
  codecOf: compression.lookupCodecByAttributes,
  partialBatch: (message) => new Partial(message),
});

const random = randomStream(Number(process.env.SLUICE_TEST_SEED ?? 1));
const below = (bound: number) => Math.floor(random() * bound);
const bytes = (most: number) => Buffer.from(Array.from({ length: below(most) }, () => below(256)));
const oneOf = <T>(...choices: readonly T[]) => choices[below(choices.length)]!;

function someHeaders(): Record<string, Buffer | Buffer[]> {
  const names = ['ingest.id', 'mqtt.topic', 'größe', ''].slice(0, below(5));
  return Object.fromEntries(
    names.map((name) => [name, oneOf<Buffer | Buffer[]>(bytes(200), [bytes(9), bytes(9), bytes(9)])]),
  );
}

async function batchOf(parts: object): Promise<Buffer> {
  return (await encodeBatch(parts)).buffer;
}

async function someBatch(): Promise<Buffer> {
  const records = Array.from({ length: below(40) }, (_, offsetDelta) =>
    encodeRecord({
      offsetDelta: offsetDelta * oneOf(1, 1000),
      timestampDelta: oneOf(0, 1, -1, 63, 64, 8191, -8192, 2 ** 31, -(2 ** 33), below(2 ** 40)),
      key: oneOf(null, bytes(30)),
      value: oneOf(null, bytes(300), bytes(2000)),
      headers: someHeaders(),
    }),
  );
  const batch = await batchOf({
    records,
    compression: oneOf(0, 1),
    firstOffset: oneOf(0, below(2 ** 31), below(2 ** 50)),
    firstTimestamp: oneOf(-1, 0, 1_760_000_000_000 + below(1e9)),
    maxTimestamp: 1_760_000_000_000 + below(1e9),
    lastOffsetDelta: Math.max(0, records.length - 1),
    transactional: oneOf(true, false),
    producerId: oneOf(-1, below(2 ** 40)),
    producerEpoch: below(100),
    firstSequence: below(2 ** 31),
    partitionLeaderEpoch: below(1000),
  });
  // The encoder never sets them: times given by the broker, control batches.
  batch[attributesAt]! |= oneOf(0, 0x08, 0x20);
  return batch;
}

/** With everything that is read when it is asked for. */
function inFull(batch: RecordBatch): object {
  const records = batch.records.map((record) => ({
    magicByte: record.magicByte,
    attributes: record.attributes,
    timestamp: record.timestamp,
    offset: record.offset,
    key: record.key,
    value: record.value,
    headers: record.headers,
    isControlRecord: record.isControlRecord,
    batchContext: record.batchContext,
  }));
  return { ...batch, records };
}

/** The low byte of the attributes. */
const attributesAt = 22;

describe('record batches of Kafka', () => {
  test('are taken apart as the client takes them apart', async () => {
    for (let n = 0; n < 200; n++) {
      const batch = await someBatch();
      const source = new Source(batch);
      deepStrictEqual(inFull(await ours(source)), await theirs(new Source(batch)));
      expect(source.offset).toBe(batch.length);
    }
  });

  test('have the same records for the bus, with and without the detour over the client', async () => {
    for (let n = 0; n < 100; n++) {
      const { records } = await ours(new Source(await someBatch()));
      for (const record of records) {
        const { key, value, headers, timestamp, offset } = record;
        const message = { key, value, headers, timestamp, offset, attributes: 0 };
        deepStrictEqual(record.record(3), recordOf(message, 3));
      }
    }
  });

  test('follow each other in one answer', async () => {
    const batches = [await someBatch(), await someBatch(), await someBatch()];
    const source = new Source(Buffer.concat(batches));
    for (const batch of batches) deepStrictEqual(inFull(await ours(source)), await theirs(new Source(batch)));
  });

  test('that have not come whole are left to the next fetch', async () => {
    const batch = await batchOf({ records: [encodeRecord({ key: null, value: Buffer.from('x') })] });
    await expect(ours(new Source(batch.subarray(0, -1)))).rejects.toThrow(Partial);
  });

  test('a batch that lies about its records ends with an error, not with records made up', async () => {
    const batch = await batchOf({ records: [encodeRecord({ key: null, value: Buffer.from('value') })] });
    batch.writeInt32BE(2, 57);
    await expect(ours(new Source(batch))).rejects.toThrow(/record/);
  });

  test('are taken apart by ours when the client fetches them', async () => {
    await import('../../bus/kafka/client.ts');
    const decodeMessages = client<(source: BatchSource) => Promise<unknown[]>>('requests/fetch/v4/decodeMessages.js');
    const batch = await batchOf({ records: [encodeRecord({ key: null, value: Buffer.from('x') })] });
    const length = Buffer.alloc(4);
    length.writeInt32BE(batch.length);
    const [record] = await decodeMessages(new Source(Buffer.concat([length, batch])));
    expect(record).toBeInstanceOf(FetchedRecord);
  });
});
