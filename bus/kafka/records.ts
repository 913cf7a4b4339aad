/** Records as the client wants and gives them. */
import type { KafkaMessage } from 'kafkajs';
import type { BusRecord, Headers, NewRecord } from '../port.ts';
import { FetchedRecord } from './batch/decoder.ts';

/** A message for the client: everything is decided, so that it is built once however often it is sent. */
export interface OutgoingMessage {
  readonly key: string;
  readonly value: Buffer | null;
  readonly headers: Record<string, string>;
  readonly timestamp: string;
  readonly partition: number;
}

export function outgoing({ key, value, headers, timestampMs }: NewRecord, partition: number): OutgoingMessage {
  return { key, value: value && asBuffer(value), headers, timestamp: String(timestampMs), partition };
}

/** The client writes anything but a Buffer as text. */
function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

export function recordOf(message: KafkaMessage, partition: number): BusRecord {
  // Nearly always: only message formats from before Kafka 0.11 are taken apart by the client.
  if (message instanceof FetchedRecord) return message.record(partition);
  const { key, value, headers, timestamp, offset } = message;
  return {
    key: key === null ? '' : key.toString(),
    value,
    headers: headersOf(headers),
    timestampMs: Number(timestamp),
    partition,
    offset: Number(offset),
  };
}

const noHeaders: Headers = {};

function headersOf(headers: KafkaMessage['headers']): Headers {
  if (headers === undefined) return noHeaders;
  const texts: Record<string, string> = {};
  for (const name in headers) {
    const value = headers[name];
    // On Kafka a name may occur several times; the last one counts, as in an object.
    const last = Array.isArray(value) ? value.at(-1) : value;
    if (last !== undefined) texts[name] = last.toString();
  }
  return texts;
}
