/**
 * The client, with the part that takes record batches apart replaced by ours: it has no setting for that (ADR 0012).
 * Whatever loaded the client before keeps its own, which gives the same records.
 */
import { createRequire } from 'node:module';
import { type ClientParts, makeDecoder } from './record-batch.ts';

const require = createRequire(import.meta.url);
const decoder = require.resolve('kafkajs/src/protocol/recordBatch/v0/decoder.js');
const { lookupCodecByAttributes } = partOf<Compression>('protocol/message/compression/index.js');
const { KafkaJSPartialMessageError } = partOf<Errors>('errors.js');

partOf('protocol/recordBatch/v0/decoder.js');
require.cache[decoder]!.exports = makeDecoder({
  codecOf: lookupCodecByAttributes,
  partialBatch: (message) => new KafkaJSPartialMessageError(message),
});

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
