/**
 * Snapshots of a partition's state, as records of the processor state topic. A snapshot is written whole under a fresh
 * id and counts for nothing until an offset commit names it (design §6, `docs/adr/0003`): the commit is the fence.
 */
import { crc32 } from 'node:zlib';
import type { Bus, NewRecord } from '../bus/port.ts';
import { isSluiceError, SluiceError } from '../core/errors.ts';

/** Of the bytes of a snapshot. Raised when their form changes; a reader refuses what it does not know. */
export const stateVersion = 3;
/** Appended one by one: on its way to the bus a chunk is copied several times. */
const chunkBytes = 256 * 1024;
const readRecords = 50;

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

/** A snapshot as it was read back. */
export interface SnapshotRead {
  readonly used: SnapshotRef;
  readonly bytes: Buffer;
  /** By the clock of its writer. */
  readonly writtenAtMs: number;
}

interface Chunk {
  readonly value: Buffer;
  readonly timestampMs: number;
}

const remedy =
  'Give processing.group a new name: all that is still in the raw topic is then processed again, and writes the same points';

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
    `the committed offset names no snapshot (${JSON.stringify(metadata.slice(0, 80))}): another program committed to this group. ${remedy}`,
  );
}

/** The snapshots of one partition. */
export class SnapshotTopic {
  readonly #bus: Bus;
  readonly #topic: string;
  readonly #partition: number;
  /** No record appended from now on gets an offset before it; `null` until the topic was looked at. */
  #end: number | null = null;
  /** Keys of chunks that no commit will ever name: their writer died before its commit. */
  #orphans = new Set<string>();

  constructor(bus: Bus, topic: string, partition: number) {
    this.#bus = bus;
    this.#topic = topic;
    this.#partition = partition;
  }

  /** Resolves when all is durable. `id` must never have been used for another state. */
  async write(id: string, offset: number, bytes: Buffer, timestampMs: number): Promise<SnapshotRef> {
    this.#end ??= (await this.#bus.read(this.#topic, this.#partition, 0, 1)).endOffset;
    const from = this.#end;
    const chunks = Math.max(1, Math.ceil(bytes.length / chunkBytes));
    let crc = 0;
    for (let i = 0; i < chunks; i++) {
      const value = bytes.subarray(i * chunkBytes, (i + 1) * chunkBytes);
      crc = crc32(value, crc);
      const chunk = {
        key: this.#chunkKey(id, i),
        value,
        headers: { version: String(stateVersion) },
        timestampMs,
        partition: this.#partition,
      };
      await this.#append([chunk]);
    }
    return { id, version: stateVersion, offset, chunks, crc, from };
  }

  /**
   * The bytes that a commit names, or those before them when they are missing, torn or of an unknown version: `warn` hears
   * why. Throws STATE_UNREADABLE when neither can be read.
   */
  async read(note: CommitNote, warn: (error: SluiceError) => void): Promise<SnapshotRead> {
    const { current, previous } = note;
    const chunks = await this.#readChunks(Math.min(current.from, previous?.from ?? current.from));
    try {
      const bytes = this.#assemble(current, chunks);
      this.#disown(chunks, [current, ...(previous === null ? [] : [previous])]);
      return { used: current, bytes, writtenAtMs: this.#writtenAtMs(current, chunks) };
    } catch (error) {
      if (!isSluiceError(error, 'STATE_UNREADABLE') || previous === null) throw error;
      warn(error);
      const bytes = this.#assemble(previous, chunks);
      this.#disown(chunks, [previous]);
      return { used: previous, bytes, writtenAtMs: this.#writtenAtMs(previous, chunks) };
    }
  }

  /** Tombstones a snapshot that no commit needs any longer, and what dead writers left. Only after a commit of ours. */
  async remove(ref: SnapshotRef | null, timestampMs: number): Promise<void> {
    const keys = ref === null ? [] : Array.from({ length: ref.chunks }, (_, i) => this.#chunkKey(ref.id, i));
    keys.push(...this.#orphans);
    if (keys.length === 0) return;
    const partition = this.#partition;
    await this.#append(keys.map((key) => ({ key, value: null, headers: {}, timestampMs, partition })));
    this.#orphans.clear();
  }

  /** Others may have appended too: what we know of the end is a lower bound. */
  async #append(records: readonly NewRecord[]): Promise<void> {
    await this.#bus.append(this.#topic, records);
    this.#end = (this.#end ?? 0) + records.length;
  }

  /** The newest value of every key from an offset on, without those that were tombstoned. */
  async #readChunks(from: number): Promise<Map<string, Chunk>> {
    const chunks = new Map<string, Chunk>();
    for (let next = from; ; ) {
      const { records, endOffset } = await this.#bus.read(this.#topic, this.#partition, next, readRecords);
      for (const { key, value, timestampMs } of records) {
        if (value === null) chunks.delete(key);
        else chunks.set(key, { value, timestampMs });
      }
      next = records.length === 0 ? endOffset : records.at(-1)!.offset + 1;
      if (next < endOffset) continue;
      this.#end = endOffset;
      return chunks;
    }
  }

  #assemble(ref: SnapshotRef, chunks: ReadonlyMap<string, Chunk>): Buffer {
    if (ref.version !== stateVersion) {
      throw this.#unreadable(ref, `has version ${ref.version}, this program reads version ${stateVersion}`);
    }
    const parts: Buffer[] = [];
    for (let i = 0; i < ref.chunks; i++) {
      const part = chunks.get(this.#chunkKey(ref.id, i));
      if (part === undefined) throw this.#unreadable(ref, `lacks chunk ${i + 1} of ${ref.chunks}`);
      parts.push(part.value);
    }
    const bytes = Buffer.concat(parts);
    if (crc32(bytes) !== ref.crc) throw this.#unreadable(ref, 'does not match its checksum');
    return bytes;
  }

  #writtenAtMs({ id }: SnapshotRef, chunks: ReadonlyMap<string, Chunk>): number {
    return chunks.get(this.#chunkKey(id, 0))!.timestampMs;
  }

  #disown(chunks: ReadonlyMap<string, Chunk>, needed: readonly SnapshotRef[]): void {
    const prefixes = needed.map(({ id }) => this.#chunkKey(id, ''));
    this.#orphans = new Set([...chunks.keys()].filter((key) => !prefixes.some((prefix) => key.startsWith(prefix))));
  }

  #chunkKey(id: string, chunk: number | ''): string {
    return `${this.#partition}/${id}/${chunk}`;
  }

  #unreadable(ref: SnapshotRef, what: string): SluiceError {
    return new SluiceError(
      'STATE_UNREADABLE',
      `${this.#topic}: snapshot ${ref.id} of partition ${this.#partition} ${what}. ${remedy}`,
    );
  }
}
