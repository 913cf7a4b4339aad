/**
 * Puts a record batch of Kafka together (message format v2), with the same bytes as the client's own encoder. That one
 * gives every record and every header a buffer of 512 bytes that it fills with zeros first, and copies each three times
 * (ADR 0012).
 */
import { at, uncountedBytes } from './layout.ts';

/** Anything but a Buffer is written as text. */
type Part = string | Buffer | null | undefined;

/** A message, and where it is in its batch. */
export interface RecordParts {
  readonly key?: Part;
  readonly value?: Part;
  /** A name that occurs several times has a list. */
  readonly headers?: Readonly<Record<string, Part | readonly Part[]>>;
  readonly offsetDelta: number;
  /** Milliseconds after the batch's `firstTimestamp`. */
  readonly timestampDelta: number;
}

/** What the client says of a batch. Whole numbers of 64 bits are decimal, as a text or something that gives one. */
export interface BatchParts {
  readonly compression: number;
  readonly records: readonly RecordParts[];
  readonly lastOffsetDelta: number;
  readonly firstTimestamp: WholeNumber;
  readonly maxTimestamp: WholeNumber;
  readonly transactional: boolean;
  readonly producerId: WholeNumber;
  readonly producerEpoch: number;
  readonly firstSequence: number;
}

interface WholeNumber {
  toString(): string;
}

/** As the client hands on what it has encoded. */
export interface Encoded {
  readonly buf: Buffer;
  readonly buffer: Buffer;
  size(): number;
}

type Header = readonly [name: string, value: Part];

const magicByte = 2;
const transactionalAttribute = 0x10;

export function makeEncoder(crc32c: (bytes: Buffer) => number): (parts: BatchParts) => Promise<Encoded> {
  return async (parts) => {
    if (parts.compression !== 0) throw new Error('a batch that is to be compressed: there is no encoder for it');
    const bytes = encode(parts);
    bytes.writeUInt32BE(crc32c(bytes.subarray(at.attributes)), at.crc);
    return { buf: bytes, buffer: bytes, size: () => bytes.length };
  };
}

function encode(batch: BatchParts): Buffer {
  const { records } = batch;
  const headers = records.map((record) => headersOf(record));
  const sizes = records.map((record, i) => sizeOfBody(record, headers[i]!));
  const recordBytes = sizes.reduce((sum, size) => sum + sizeOfVarint(size) + size, 0);
  const bytes = Buffer.allocUnsafe(at.records + recordBytes);
  writeHeader(bytes, batch);
  const writer = new Writer(bytes, at.records);
  for (const [i, record] of records.entries()) {
    writer.varint(sizes[i]!);
    writeBody(writer, record, headers[i]!);
  }
  return bytes;
}

/** All but the checksum. The broker gives the batch its first offset, and knows the leader's epoch itself. */
function writeHeader(bytes: Buffer, batch: BatchParts): void {
  bytes.writeBigInt64BE(0n, at.firstOffset);
  bytes.writeInt32BE(bytes.length - uncountedBytes, at.length);
  bytes.writeInt32BE(0, at.partitionLeaderEpoch);
  bytes[at.magic] = magicByte;
  bytes.writeInt16BE(batch.transactional ? transactionalAttribute : 0, at.attributes);
  bytes.writeInt32BE(batch.lastOffsetDelta, at.lastOffsetDelta);
  bytes.writeBigInt64BE(BigInt(batch.firstTimestamp.toString()), at.firstTimestamp);
  bytes.writeBigInt64BE(BigInt(batch.maxTimestamp.toString()), at.maxTimestamp);
  bytes.writeBigInt64BE(BigInt(batch.producerId.toString()), at.producerId);
  bytes.writeInt16BE(batch.producerEpoch, at.producerEpoch);
  bytes.writeInt32BE(batch.firstSequence, at.firstSequence);
  bytes.writeInt32BE(batch.records.length, at.recordCount);
}

function headersOf({ headers = {} }: RecordParts): readonly Header[] {
  const list: Header[] = [];
  for (const name in headers) {
    const value = headers[name] as Part | readonly Part[];
    if (Array.isArray(value)) for (const one of value) list.push([name, one]);
    else list.push([name, value as Part]);
  }
  return list;
}

function sizeOfBody({ timestampDelta, offsetDelta, key, value }: RecordParts, headers: readonly Header[]): number {
  const attributesBytes = 1;
  let size = attributesBytes + sizeOfVarint(timestampDelta) + sizeOfVarint(offsetDelta);
  size += sizeOfPart(key) + sizeOfPart(value) + sizeOfVarint(headers.length);
  for (const [name, content] of headers) size += sizeOfPart(name) + sizeOfPart(content);
  return size;
}

function writeBody(writer: Writer, record: RecordParts, headers: readonly Header[]): void {
  // Of the attributes of a record none is used.
  writer.byte(0);
  writer.varint(record.timestampDelta);
  writer.varint(record.offsetDelta);
  writer.part(record.key);
  writer.part(record.value);
  writer.varint(headers.length);
  for (const [name, content] of headers) {
    writer.part(name);
    writer.part(content);
  }
}

/** With its length before it. */
function sizeOfPart(part: Part): number {
  const length = lengthOf(part);
  return sizeOfVarint(length) + Math.max(0, length);
}

function lengthOf(part: Part): number {
  if (part === null || part === undefined) return -1;
  return typeof part === 'string' ? Buffer.byteLength(part) : part.length;
}

function sizeOfVarint(value: number): number {
  let bytes = 1;
  for (let rest = zigzag(value); rest >= 128; rest /= 128) bytes++;
  return bytes;
}

/** Negative ones become odd. For whole numbers of up to 2⁵²: of a length, an offset and a time there are none larger. */
function zigzag(value: number): number {
  return value < 0 ? -2 * value - 1 : 2 * value;
}

class Writer {
  readonly #bytes: Buffer;
  #position: number;

  constructor(bytes: Buffer, position: number) {
    this.#bytes = bytes;
    this.#position = position;
  }

  byte(value: number): void {
    this.#bytes[this.#position++] = value;
  }

  /** Seven bits a byte, the least significant first. */
  varint(value: number): void {
    let rest = zigzag(value);
    for (; rest >= 128; rest = Math.floor(rest / 128)) this.byte((rest % 128) + 128);
    this.byte(rest);
  }

  part(part: Part): void {
    const length = lengthOf(part);
    this.varint(length);
    if (length <= 0) return;
    if (typeof part === 'string') this.#bytes.write(part, this.#position);
    else part!.copy(this.#bytes, this.#position);
    this.#position += length;
  }
}
