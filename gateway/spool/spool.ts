/**
 * Messages that were acknowledged and are not on the bus yet, on the disk of the gateway: by partition in the order in
 * which they came, in a topic that has the name and the partitions of the one they go to.
 */
import type { Bus, BusRecord, DiskBus, NewRecord } from '../../bus/port.ts';
import type { Clock } from '../../core/clock.ts';
import { endsWithin } from '../../core/deadline.ts';
import { isSluiceError, messageOf, SluiceError } from '../../core/errors.ts';
import type { Logger } from '../../core/log.ts';
import type { SpoolStatus } from '../../core/status.ts';

/** Room for every record that the bus takes. */
const maxMessageBytes = 2 * 1024 * 1024;
/** About what the file adds to each record. */
const framingBytes = 20;
/** So that large records are not read by the thousand. */
const readAtOnce = 64;

export interface SpoolSettings {
  /** Opens the file, which is this gateway's alone. */
  readonly open: () => Promise<DiskBus>;
  /** How long the bus may stall before messages are spooled. */
  readonly afterMs: number;
  /** Of the messages in it. */
  readonly maxBytes: number;
}

interface SpoolContext {
  /** Where the messages go. */
  readonly bus: Bus;
  readonly topic: string;
  readonly settings: SpoolSettings;
  readonly clock: Clock;
  readonly log: Logger;
}

/** What waits of one partition. */
interface Waiting {
  /** Offset of the oldest. */
  position: number;
  records: number;
  bytes: number;
  /** Not later than the oldest came; `null` when there is none. */
  oldestMs: number | null;
}

export class Spool {
  readonly afterMs: number;
  readonly #disk: DiskBus;
  readonly #topic: string;
  readonly #maxBytes: number;
  readonly #log: Logger;
  readonly #partitions: readonly Waiting[];
  #bytes: number;
  #spooled = 0;
  #drained = 0;
  #isTrimmed = true;

  /** Opens it with what an earlier run left in it. A new one waits until the bus tells how many partitions there are. */
  static async open({ bus, topic, settings, clock, log }: SpoolContext): Promise<Spool> {
    const disk = await settings.open();
    try {
      const partitions = await countPartitions(disk, bus, topic, settings.afterMs, clock);
      const forever = { retentionMs: null, retentionBytes: null };
      await disk.createTopics([{ name: topic, partitions, cleanup: 'delete', ...forever, maxMessageBytes }]);
      return new Spool(disk, topic, settings, log, await waitingIn(disk, topic));
    } catch (error) {
      await disk.close();
      throw error;
    }
  }

  private constructor(disk: DiskBus, topic: string, settings: SpoolSettings, log: Logger, waiting: readonly Waiting[]) {
    this.#disk = disk;
    this.#topic = topic;
    this.afterMs = settings.afterMs;
    this.#maxBytes = settings.maxBytes;
    this.#log = log;
    this.#partitions = waiting;
    this.#bytes = waiting.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  get partitionCount(): number {
    return this.#partitions.length;
  }

  status(): SpoolStatus {
    const oldest = this.#partitions.flatMap(({ oldestMs }) => oldestMs ?? []);
    return {
      records: this.count(this.#partitions.keys()),
      bytes: this.#bytes,
      maxBytes: this.#maxBytes,
      oldestMs: oldest.length === 0 ? null : Math.min(...oldest),
      spooled: this.#spooled,
      drained: this.#drained,
    };
  }

  /** Messages of the given partitions. */
  count(partitions: Iterable<number>): number {
    let records = 0;
    for (const partition of partitions) records += this.#partitions[partition]!.records;
    return records;
  }

  /** Resolves when all are on the disk. Rejects with BUS_UNAVAILABLE when they are more than may be, or the disk is full. */
  async append(records: readonly NewRecord[]): Promise<void> {
    const sizes = records.map(sizeOf);
    const bytes = sizes.reduce((sum, size) => sum + size, 0);
    if (this.#bytes + bytes > this.#maxBytes) {
      const fix = 'raise gateway.spoolMaxBytes, or bring Kafka back';
      throw new SluiceError('BUS_UNAVAILABLE', `the spool is full, ${this.#bytes} of ${this.#maxBytes} bytes: ${fix}`);
    }
    this.#bytes += bytes;
    try {
      await this.#disk.append(this.#topic, records);
    } catch (error) {
      this.#bytes -= bytes;
      throw error;
    }
    this.#spooled += records.length;
    for (const [i, { partition, timestampMs }] of records.entries()) {
      const waiting = this.#partitions[partition!]!;
      waiting.records++;
      waiting.bytes += sizes[i]!;
      waiting.oldestMs ??= timestampMs;
    }
  }

  /** The oldest messages of the given partitions, about as many as the bounds say, in order. */
  async next(partitions: readonly number[], maxRecords: number, maxBytes: number): Promise<BusRecord[]> {
    const batch: BusRecord[] = [];
    let bytes = 0;
    for (const partition of this.#oldestFirst(partitions)) {
      const { position, records } = this.#partitions[partition]!;
      for (let taken = 0; taken < records && batch.length < maxRecords && bytes < maxBytes; ) {
        const count = Math.min(readAtOnce, records - taken, maxRecords - batch.length);
        const read = await this.#disk.read(this.#topic, partition, position + taken, count);
        if (read.records.length === 0) {
          throw new SluiceError('BUS_UNAVAILABLE', `the spool has nothing at ${partition}/${position + taken}`);
        }
        batch.push(...read.records);
        taken += read.records.length;
        for (const { value } of read.records) bytes += value?.length ?? 0;
      }
    }
    return batch;
  }

  /**
   * The oldest of their partitions are on the bus. What of it a crash forgets, at most the last commits of a partition, is
   * appended once more, with the same ids.
   */
  async remove(records: readonly NewRecord[]): Promise<void> {
    const touched = new Set<number>();
    for (const record of records) {
      const waiting = this.#partitions[record.partition!]!;
      const size = sizeOf(record);
      waiting.position++;
      waiting.records--;
      waiting.bytes -= size;
      this.#bytes -= size;
      waiting.oldestMs = waiting.records === 0 ? null : record.timestampMs;
      touched.add(record.partition!);
    }
    this.#drained += records.length;
    await this.#trim(touched);
  }

  close(): Promise<void> {
    return this.#disk.close();
  }

  /** A disk that cannot even forget is no reason to stop: the next time does it. */
  async #trim(partitions: ReadonlySet<number>): Promise<void> {
    const trims = [...partitions].map((p) => this.#disk.trim(this.#topic, p, this.#partitions[p]!.position));
    const failure = (await Promise.allSettled(trims)).find((result) => result.status === 'rejected');
    if (failure !== undefined && this.#isTrimmed) {
      this.#log.warn({ error: messageOf(failure.reason) }, 'what was drained cannot be deleted from the spool yet');
    }
    this.#isTrimmed = failure === undefined;
  }

  #oldestFirst(partitions: readonly number[]): number[] {
    const oldestMs = (partition: number) => this.#partitions[partition]!.oldestMs!;
    return partitions
      .filter((partition) => this.#partitions[partition]!.records > 0)
      .sort((a, b) => oldestMs(a) - oldestMs(b));
  }
}

/** As the bus says, and when it does not answer, as it was when the spool was made: that never changes. */
async function countPartitions(disk: DiskBus, bus: Bus, topic: string, waitMs: number, clock: Clock): Promise<number> {
  const known = await unless('BUS_TOPIC_MISSING', disk.partitionCount(topic));
  if (known === null) {
    await bus.start();
    return bus.partitionCount(topic);
  }
  const answer = unless('BUS_UNAVAILABLE', bus.partitionCount(topic));
  return ((await endsWithin(clock, waitMs, answer)) ? await answer : null) ?? known;
}

async function unless<T>(code: 'BUS_TOPIC_MISSING' | 'BUS_UNAVAILABLE', call: Promise<T>): Promise<T | null> {
  try {
    return await call;
  } catch (error) {
    if (isSluiceError(error, code)) return null;
    throw error;
  }
}

function waitingIn(disk: DiskBus, topic: string): Promise<Waiting[]> {
  return disk.kept(topic).then((kept) =>
    Promise.all(
      kept.map(async ({ firstOffset, endOffset, bytes }, partition) => {
        const [oldest] = (await disk.read(topic, partition, firstOffset, 1)).records;
        const records = endOffset - firstOffset;
        return { position: firstOffset, records, bytes, oldestMs: oldest?.timestampMs ?? null };
      }),
    ),
  );
}

function sizeOf({ key, value, headers }: NewRecord): number {
  const headersBytes = Buffer.byteLength(JSON.stringify(headers));
  return framingBytes + Buffer.byteLength(key) + headersBytes + (value?.length ?? 0);
}
