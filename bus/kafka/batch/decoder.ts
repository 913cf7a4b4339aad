/**
 * Takes a record batch of Kafka apart (message format v2), with the same result as the client's own decoder. That one
 * keeps times and offsets in BigInts and builds everything of every record of an answer at once: a quarter of what a
 * processor spent on a record, and most of what its garbage collector had to carry about (ADR 0012).
 */
import { headers as knownHeaders } from '../../../core/topics.ts';
import type { BusRecord } from '../../port.ts';
import { at, uncountedBytes } from './layout.ts';

/** Bytes and how far they were read, as the client hands them on. */
export interface BatchSource {
  readonly buffer: Buffer;
  offset: number;
}

/** What the parts of the client are that are needed here. */
export interface ClientParts {
  /** `null` when the batch is not compressed. */
  readonly codecOf: (attributes: number) => { decompress(bytes: Buffer): Promise<Buffer> } | null;
  /** What the client takes for "the rest of this batch comes with the next fetch". */
  readonly partialBatch: (message: string) => Error;
}

/** Offsets, ids and times are decimal texts, as everywhere in the client. */
export interface BatchHeader {
  readonly firstOffset: string;
  readonly firstTimestamp: string;
  readonly partitionLeaderEpoch: number;
  readonly inTransaction: boolean;
  readonly isControlBatch: boolean;
  readonly lastOffsetDelta: number;
  readonly producerId: string;
  readonly producerEpoch: number;
  readonly firstSequence: number;
  readonly maxTimestamp: string;
  /** 0 = the producer's time, 1 = when the broker appended it. */
  readonly timestampType: number;
}

type BatchContext = BatchHeader & { readonly magicByte: number };

export interface RecordBatch extends BatchHeader {
  readonly records: FetchedRecord[];
}

const attribute = { logAppendTime: 0x08, transactional: 0x10, control: 0x20 } as const;

export function makeDecoder({ codecOf, partialBatch }: ClientParts): (source: BatchSource) => Promise<RecordBatch> {
  return async (source) => {
    const { buffer, offset: start } = source;
    const end = start + uncountedBytes + buffer.readInt32BE(start + at.length);
    source.offset = end;
    if (end > buffer.length) throw partialBatch(`a record batch lacks ${end - buffer.length} bytes`);
    const batch = buffer.subarray(start, end);
    const header = headerOf(batch);
    const count = batch.readInt32BE(at.recordCount);
    const codec = codecOf(batch.readInt16BE(at.attributes));
    const records = batch.subarray(at.records);
    const bytes = codec === null || count <= 0 ? records : await codec.decompress(records);
    return { ...header, records: readRecords(bytes, count, { ...header, magicByte: batch[at.magic]! }) };
  };
}

function headerOf(batch: Buffer): BatchHeader {
  const attributes = batch.readInt16BE(at.attributes);
  return {
    firstOffset: batch.readBigInt64BE(at.firstOffset).toString(),
    firstTimestamp: batch.readBigInt64BE(at.firstTimestamp).toString(),
    partitionLeaderEpoch: batch.readInt32BE(at.partitionLeaderEpoch),
    inTransaction: (attributes & attribute.transactional) !== 0,
    isControlBatch: (attributes & attribute.control) !== 0,
    lastOffsetDelta: batch.readInt32BE(at.lastOffsetDelta),
    producerId: batch.readBigInt64BE(at.producerId).toString(),
    producerEpoch: batch.readInt16BE(at.producerEpoch),
    firstSequence: batch.readInt32BE(at.firstSequence),
    maxTimestamp: batch.readBigInt64BE(at.maxTimestamp).toString(),
    timestampType: (attributes & attribute.logAppendTime) !== 0 ? 1 : 0,
  };
}

/** Reads the frames of the records alone: what is in one is read when someone asks for it, and then it dies young. */
function readRecords(bytes: Buffer, count: number, context: BatchContext): FetchedRecord[] {
  const firstOffset = Number(context.firstOffset);
  const firstTimestamp = Number(context.firstTimestamp);
  const appendedAt = context.timestampType === 1 ? Number(context.maxTimestamp) : null;
  const cursor = new Cursor(bytes, 0);
  const records: FetchedRecord[] = [];
  for (let i = 0; i < count; i++) {
    const end = cursor.varint() + cursor.position;
    if (end > bytes.length) throw new Error(`record ${i} of ${count} reaches beyond its record batch`);
    const attributes = bytes[cursor.position++]!;
    const timestampMs = firstTimestamp + cursor.varint();
    const offset = firstOffset + cursor.varint();
    records.push(new FetchedRecord(bytes, cursor.position, attributes, appendedAt ?? timestampMs, offset, context));
    cursor.position = end;
  }
  return records;
}

/** A message as the client has them, and as the port has them without the detour over the client's texts and buffers. */
export class FetchedRecord {
  readonly attributes: number;
  readonly batchContext: BatchContext;
  readonly #bytes: Buffer;
  /** Where its key begins. */
  readonly #start: number;
  readonly #timestampMs: number;
  readonly #offset: number;

  constructor(
    bytes: Buffer,
    start: number,
    attributes: number,
    timestampMs: number,
    offset: number,
    batchContext: BatchContext,
  ) {
    this.#bytes = bytes;
    this.#start = start;
    this.attributes = attributes;
    this.#timestampMs = timestampMs;
    this.#offset = offset;
    this.batchContext = batchContext;
  }

  get magicByte(): number {
    return this.batchContext.magicByte;
  }

  get isControlRecord(): boolean {
    return this.batchContext.isControlBatch;
  }

  get timestamp(): string {
    return String(this.#timestampMs);
  }

  get offset(): string {
    return String(this.#offset);
  }

  get key(): Buffer | null {
    return new Cursor(this.#bytes, this.#start).slice();
  }

  get value(): Buffer | null {
    const cursor = new Cursor(this.#bytes, this.#start);
    cursor.skip();
    return cursor.slice();
  }

  /** A name that occurs several times has a list. */
  get headers(): Record<string, Buffer | Buffer[]> {
    const cursor = new Cursor(this.#bytes, this.#start);
    cursor.skip();
    cursor.skip();
    const headers: Record<string, Buffer | Buffer[]> = {};
    for (let left = cursor.varint(); left > 0; left--) {
      const name = cursor.name();
      const value = cursor.slice()!;
      const before = headers[name];
      if (before === undefined) headers[name] = value;
      else headers[name] = Array.isArray(before) ? [...before, value] : [before, value];
    }
    return headers;
  }

  /** On Kafka a header may occur several times; the last one counts, as in an object. */
  record(partition: number): BusRecord {
    const cursor = new Cursor(this.#bytes, this.#start);
    const key = cursor.text();
    const value = cursor.slice();
    const headers: Record<string, string> = {};
    for (let left = cursor.varint(); left > 0; left--) headers[cursor.name()] = cursor.text();
    return { key, value, headers, timestampMs: this.#timestampMs, partition, offset: this.#offset };
  }
}

/** Header names that come with every record, by their length: to compare a few bytes is cheaper than to make a text. */
const namesByLength = Map.groupBy(
  Object.values(knownHeaders).map((name) => ({ name, bytes: Buffer.from(name) })),
  ({ bytes }) => bytes.length,
);

class Cursor {
  readonly #bytes: Buffer;
  position: number;

  constructor(bytes: Buffer, position: number) {
    this.#bytes = bytes;
    this.position = position;
  }

  /** A zigzag-coded whole number of up to 2⁵³; of a length, an offset and a time there are none larger. */
  varint(): number {
    let byte = this.#bytes[this.position++]!;
    let value = byte & 0x7f;
    for (let factor = 128; byte >= 128; factor *= 128) {
      byte = this.#bytes[this.position++]!;
      value += (byte & 0x7f) * factor;
    }
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
  }

  /** Bytes with their length before them; `null` when that is negative. */
  slice(): Buffer | null {
    const length = this.varint();
    if (length < 0) return null;
    const from = this.position;
    this.position = from + length;
    return this.#bytes.subarray(from, from + length);
  }

  /** Empty where there are no bytes, or none said to be. */
  text(): string {
    const length = this.varint();
    if (length <= 0) return '';
    const from = this.position;
    this.position = from + length;
    return this.#bytes.toString('utf8', from, from + length);
  }

  /** The name of a header. */
  name(): string {
    const from = this.position;
    const length = this.varint();
    for (const { name, bytes } of namesByLength.get(length) ?? []) {
      if (!this.#isNext(bytes)) continue;
      this.position += length;
      return name;
    }
    this.position = from;
    return this.text();
  }

  #isNext(bytes: Buffer): boolean {
    for (let i = 0; i < bytes.length; i++) if (bytes[i] !== this.#bytes[this.position + i]) return false;
    return true;
  }

  skip(): void {
    const length = this.varint();
    if (length > 0) this.position += length;
  }
}
