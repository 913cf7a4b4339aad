/**
 * Snapshots of a partition's state, as records of the processor state topic. A snapshot is written whole under a fresh
 * id and counts for nothing until an offset commit names it (design §6, `docs/adr/0003`): the commit is the fence.
 */
import { deserialize, serialize } from 'node:v8';
import { crc32 } from 'node:zlib';
import type { Bus, BusRecord } from '../bus/port.ts';
import { SluiceError } from '../core/errors.ts';

/** Of what `serialize` is given. Raised when its shape changes; a reader refuses what it does not know. */
export const stateVersion = 1;
const chunkBytes = 900_000;
const readRecords = 500;

/** What a commit's metadata says of a snapshot: where it is, and how to tell that it is whole. */
export interface SnapshotRef {
  readonly id: string;
  readonly version: number;
  /** Offset of the next raw record after it. */
  readonly offset: number;
  readonly chunks: number;
  readonly crc: number;
  /** No record of it lies before this offset of the state topic's partition. */
  readonly from: number;
}

/** The metadata of a commit: the snapshot that counts, and the one before it to fall back to. */
export interface CommitNote {
  readonly current: SnapshotRef;
  readonly previous: SnapshotRef | null;
}

export function encodeNote(note: CommitNote): string {
  return JSON.stringify(note);
}

/** Throws STATE_UNREADABLE when the metadata is not ours. */
export function decodeNote(metadata: string): CommitNote {
  try {
    const note = JSON.parse(metadata) as CommitNote;
    if (typeof note.current.id === 'string' && typeof note.current.offset === 'number') return note;
  } catch {
    // Falls through to the error below, which says more.
  }
  throw new SluiceError(
    'STATE_UNREADABLE',
    `the committed offset carries no snapshot reference (${JSON.stringify(metadata.slice(0, 80))}); another program committed to this group: use another processing.group`,
  );
}

export class SnapshotTopic {
  readonly #bus: Bus;
  readonly #topic: string;

  constructor(bus: Bus, topic: string) {
    this.#bus = bus;
    this.#topic = topic;
  }

  /** Resolves when all of it is durable. `id` must never have been used before. */
  async write(
    partition: number,
    id: string,
    offset: number,
    state: unknown,
    timestampMs: number,
  ): Promise<SnapshotRef> {
    const bytes = serialize(state);
    const { endOffset: from } = await this.#bus.read(this.#topic, partition, 0, 0);
    const chunks = Math.max(1, Math.ceil(bytes.length / chunkBytes));
    await this.#bus.append(
      this.#topic,
      Array.from({ length: chunks }, (_, i) => ({
        key: chunkKey(partition, id, i),
        value: bytes.subarray(i * chunkBytes, (i + 1) * chunkBytes),
        headers: { version: String(stateVersion) },
        timestampMs,
        partition,
      })),
    );
    return { id, version: stateVersion, offset, chunks, crc: crc32(bytes), from };
  }

  /** The state of a snapshot. Throws STATE_UNREADABLE when it is missing, torn or of an unknown version. */
  async read(partition: number, ref: SnapshotRef): Promise<unknown> {
    if (ref.version > stateVersion) {
      throw this.#unreadable(
        partition,
        ref,
        `has version ${ref.version}, this program reads up to ${stateVersion}: upgrade it`,
      );
    }
    const chunks = new Map<string, BusRecord>();
    const wanted = new Set(Array.from({ length: ref.chunks }, (_, i) => chunkKey(partition, ref.id, i)));
    for (let next = ref.from; chunks.size < wanted.size; ) {
      const { records, endOffset } = await this.#bus.read(this.#topic, partition, next, readRecords);
      for (const record of records) if (wanted.has(record.key)) chunks.set(record.key, record);
      next = records.length === 0 ? endOffset : records.at(-1)!.offset + 1;
      if (next >= endOffset) break;
    }
    const parts = [...wanted].map((key) => chunks.get(key)?.value ?? null).filter((part) => part !== null);
    if (parts.length < ref.chunks)
      throw this.#unreadable(partition, ref, `has ${parts.length} of ${ref.chunks} chunks`);
    const bytes = Buffer.concat(parts);
    if (crc32(bytes) !== ref.crc) throw this.#unreadable(partition, ref, 'does not match its checksum');
    return deserialize(bytes);
  }

  /** Tombstones a snapshot that no commit needs any longer. */
  async remove(partition: number, ref: SnapshotRef, timestampMs: number): Promise<void> {
    await this.#bus.append(
      this.#topic,
      Array.from({ length: ref.chunks }, (_, i) => ({
        key: chunkKey(partition, ref.id, i),
        value: null,
        headers: {},
        timestampMs,
        partition,
      })),
    );
  }

  #unreadable(partition: number, ref: SnapshotRef, what: string): SluiceError {
    return new SluiceError('STATE_UNREADABLE', `${this.#topic}: snapshot ${ref.id} of partition ${partition} ${what}`);
  }
}

function chunkKey(partition: number, id: string, chunk: number): string {
  return `${partition}/${id}/${chunk}`;
}
