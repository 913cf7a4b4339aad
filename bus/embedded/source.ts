import type { SluiceError } from '../../core/errors.ts';
import type { BusRecord } from '../port.ts';
import { unpackBatch } from './packing.ts';
import type { ReaderOperations } from './protocol.ts';
import type { Thread } from './thread.ts';

export interface Wanted {
  readonly partition: number;
  readonly partitionId: number;
  readonly fromOffset: number;
  readonly maxRecords: number;
}

export interface Given {
  readonly records: BusRecord[];
  /** Where to go on. */
  readonly nextOffset: number;
  /** The offset after the newest record. */
  readonly endOffset: number;
}

/** The records of the file, read through the reading thread. */
export class Source {
  readonly #reader: Thread<ReaderOperations>;

  constructor(reader: Thread<ReaderOperations>) {
    this.#reader = reader;
  }

  /** Why nothing can be read any more; `null` while it can. */
  get ended(): SluiceError | null {
    return this.#reader.ended;
  }

  /** What is there now: at most `maxRecords` and about 1 MiB. */
  take(wanted: Wanted): Promise<Given> {
    return this.#fetch(wanted, false);
  }

  /** As `take`, but waits for a record. Gives none when `signal` aborts, or where the records before `nextOffset` are gone. */
  next(wanted: Wanted, signal: AbortSignal): Promise<Given> {
    return this.#fetch(wanted, true, signal);
  }

  async #fetch(
    { partition, partitionId, fromOffset, maxRecords }: Wanted,
    wait: boolean,
    signal?: AbortSignal,
  ): Promise<Given> {
    const args = { partitionId, fromOffset, maxRecords, wait };
    const { bytes, batches, nextOffset, endOffset } = await this.#reader.call('fetch', args, signal && { signal });
    const records: BusRecord[] = [];
    let at = 0;
    for (const batch of batches) {
      const packed = Buffer.from(bytes.buffer, at, batch.bytes);
      unpackBatch(packed, { partition, baseOffset: batch.baseOffset, fromOffset }, records, maxRecords);
      at += batch.bytes;
    }
    const last = records.at(-1);
    return { records, nextOffset: records.length < maxRecords || !last ? nextOffset : last.offset + 1, endOffset };
  }
}
