/**
 * The client, with the parts that put record batches together and take them apart replaced by ours: it has no setting for
 * that (ADR 0012). Whatever loaded the client before keeps its own, which does the same.
 */
import { createRequire } from 'node:module';
import { type ClientParts, makeDecoder } from './batch/decoder.ts';
import { makeEncoder, type RecordParts } from './batch/encoder.ts';
import { groupByPartition } from './batch/grouping.ts';

const require = createRequire(import.meta.url);
const { lookupCodecByAttributes } = partOf<Compression>('protocol/message/compression/index.js');
const { KafkaJSPartialMessageError } = partOf<Errors>('errors.js');
const crc32c = partOf<(bytes: Buffer) => number>('protocol/recordBatch/crc32C/index.js');
const batch = partOf<object>('protocol/recordBatch/v0/index.js');

replace(
  'protocol/recordBatch/v0/decoder.js',
  makeDecoder({
    codecOf: lookupCodecByAttributes,
    partialBatch: (message) => new KafkaJSPartialMessageError(message),
  }),
);
// A record is left as it is until its batch is written.
replace('protocol/recordBatch/record/v0/index.js', (record: RecordParts) => record);
replace('protocol/recordBatch/v0/index.js', { ...batch, RecordBatch: makeEncoder(crc32c) });
replace('producer/groupMessagesPerPartition.js', groupByPartition);

export const { Kafka, logLevel }: typeof import('kafkajs') = require('kafkajs');

interface Compression {
  readonly lookupCodecByAttributes: ClientParts['codecOf'];
}

interface Errors {
  readonly KafkaJSPartialMessageError: new (message: string) => Error;
}

function partOf<Part>(path: string): Part {
  return require(`kafkajs/src/${path}`) as Part;
}

function replace(path: string, part: unknown): void {
  partOf(path);
  require.cache[require.resolve(`kafkajs/src/${path}`)]!.exports = part;
}
