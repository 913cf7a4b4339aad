import type { KafkaMessage } from 'kafkajs';
import type { BusRecord, Headers } from '../port.ts';

export function recordOf({ key, value, headers, timestamp, offset }: KafkaMessage, partition: number): BusRecord {
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
    // A name may occur several times on Kafka; the last one counts, as in an object.
    const last = Array.isArray(value) ? value.at(-1) : value;
    if (last !== undefined) texts[name] = last.toString();
  }
  return texts;
}
