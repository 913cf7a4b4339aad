/**
 * Records as bytes. A batch is its records packed one after the other, so joining two batches is joining their bytes,
 * and one buffer crosses the thread boundary instead of thousands of objects. Record n of a batch has the offset
 * `baseOffset + n`. Little endian:
 *
 *     float64 timestampMs · int32 valueLength (-1 = null) · uint32 keyLength · uint32 headersLength · key · headers · value
 *
 * Headers are a JSON object, nothing at all when there are none.
 */
import { partitionOf } from '../../core/partition.ts';
import type { BusRecord, Headers, NewRecord } from '../port.ts';

const FIXED_BYTES = 20;
/** A batch is at most so large, unless one record is larger: reading one record of it stays cheap. */
export const BATCH_BYTES = 128 * 1024;
const noHeaders: Headers = Object.freeze({});

/** A run of packed records of one partition within `PackedAppend.bytes`. */
export interface PackedRun {
  readonly partition: number;
  readonly start: number;
  readonly end: number;
  readonly count: number;
  /** The largest timestamp of the run, which decides when it is old. */
  readonly newestMs: number;
}

export interface PackedAppend {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly runs: readonly PackedRun[];
  /** Records that are too large for the topic or have no time; they are not in `bytes`. */
  readonly refused: readonly { index: number; message: string }[];
}

interface Sized {
  readonly record: NewRecord;
  readonly keyBytes: number;
  readonly headersJson: string;
  readonly headersBytes: number;
}

interface OpenRun {
  readonly partition: number;
  readonly sized: Sized[];
  bytes: number;
  newestMs: number;
}

export function packAppend(
  records: readonly NewRecord[],
  partitionCount: number,
  maxMessageBytes: number,
): PackedAppend {
  const runs: OpenRun[] = [];
  const newestRuns = new Map<number, OpenRun>();
  const refused: { index: number; message: string }[] = [];
  let totalBytes = 0;
  for (const [index, record] of records.entries()) {
    const sized = sizeOf(record);
    const bytes = FIXED_BYTES + sized.keyBytes + sized.headersBytes + (record.value?.length ?? 0);
    if (bytes > maxMessageBytes) {
      refused.push({ index, message: `${bytes} bytes, and the topic takes at most ${maxMessageBytes}` });
      continue;
    }
    if (!Number.isFinite(record.timestampMs)) {
      refused.push({ index, message: `timestampMs is ${record.timestampMs}, which is no time` });
      continue;
    }
    const partition = record.partition ?? partitionOf(record.key, partitionCount);
    if (partition < 0 || partition >= partitionCount) {
      throw new RangeError(`partition ${partition} of a topic that has ${partitionCount}`);
    }
    let run = newestRuns.get(partition);
    if (run === undefined || run.bytes + bytes > BATCH_BYTES) {
      run = { partition, sized: [], bytes: 0, newestMs: record.timestampMs };
      newestRuns.set(partition, run);
      runs.push(run);
    }
    run.sized.push(sized);
    run.bytes += bytes;
    run.newestMs = Math.max(run.newestMs, record.timestampMs);
    totalBytes += bytes;
  }
  return { ...pack(runs, totalBytes), refused };
}

function pack(open: readonly OpenRun[], totalBytes: number): Pick<PackedAppend, 'bytes' | 'runs'> {
  const bytes = Buffer.from(new ArrayBuffer(totalBytes));
  let at = 0;
  const runs = open.map(({ partition, sized, newestMs }) => {
    const start = at;
    for (const each of sized) at = writeRecord(bytes, at, each);
    return { partition, start, end: at, count: sized.length, newestMs };
  });
  return { bytes, runs };
}

function sizeOf(record: NewRecord): Sized {
  let headersJson = '';
  for (const _ in record.headers) {
    headersJson = JSON.stringify(record.headers);
    break;
  }
  return {
    record,
    keyBytes: Buffer.byteLength(record.key),
    headersJson,
    headersBytes: Buffer.byteLength(headersJson),
  };
}

function writeRecord(buffer: Buffer, start: number, { record, keyBytes, headersJson, headersBytes }: Sized): number {
  let at = buffer.writeDoubleLE(record.timestampMs, start);
  at = buffer.writeInt32LE(record.value?.length ?? -1, at);
  at = buffer.writeUInt32LE(keyBytes, at);
  at = buffer.writeUInt32LE(headersBytes, at);
  at += buffer.write(record.key, at);
  if (headersBytes > 0) at += buffer.write(headersJson, at);
  if (record.value === null) return at;
  buffer.set(record.value, at);
  return at + record.value.length;
}

/** Where the record that starts at `start` ends. */
export function endOfRecord(batch: Buffer, start: number): number {
  const valueBytes = Math.max(0, batch.readInt32LE(start + 8));
  return start + FIXED_BYTES + batch.readUInt32LE(start + 12) + batch.readUInt32LE(start + 16) + valueBytes;
}

export function keyBytesAt(batch: Buffer, start: number): Buffer {
  const keyStart = start + FIXED_BYTES;
  return batch.subarray(keyStart, keyStart + batch.readUInt32LE(start + 12));
}

export function isTombstoneAt(batch: Buffer, start: number): boolean {
  return batch.readInt32LE(start + 8) === -1;
}

export function timestampMsAt(batch: Buffer, start: number): number {
  return batch.readDoubleLE(start);
}

/** Where the record number `index` of a batch starts. */
export function startOfRecord(batch: Buffer, index: number): number {
  let at = 0;
  for (let i = 0; i < index; i++) at = endOfRecord(batch, at);
  return at;
}

/** Adds the records of a batch from `fromOffset` on to `into`, until that holds `maxRecords`. Values share the batch's memory. */
export function unpackBatch(
  batch: Buffer,
  { partition, baseOffset, fromOffset }: { partition: number; baseOffset: number; fromOffset: number },
  into: BusRecord[],
  maxRecords: number,
): void {
  let at = startOfRecord(batch, Math.max(0, fromOffset - baseOffset));
  let offset = Math.max(baseOffset, fromOffset);
  while (at < batch.length && into.length < maxRecords) {
    const end = endOfRecord(batch, at);
    const valueBytes = batch.readInt32LE(at + 8);
    const keyStart = at + FIXED_BYTES;
    const headersStart = keyStart + batch.readUInt32LE(at + 12);
    const valueStart = headersStart + batch.readUInt32LE(at + 16);
    into.push({
      key: batch.toString('utf8', keyStart, headersStart),
      value: valueBytes === -1 ? null : batch.subarray(valueStart, end),
      headers: valueStart === headersStart ? noHeaders : JSON.parse(batch.toString('utf8', headersStart, valueStart)),
      timestampMs: batch.readDoubleLE(at),
      partition,
      offset,
    });
    at = end;
    offset++;
  }
}
