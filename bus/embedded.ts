/**
 * The event bus of one machine: a SQLite file that several processes share. It is the single-machine default and the
 * gateway's disk spool, not a distributed engine: beyond one machine the answer is Kafka.
 */
import type { Clock } from '../core/clock.ts';
import { messageOf, RecordsRefusedError, SluiceError } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';
import type { TopicSpec } from '../core/topics.ts';
import { Follower } from './embedded/follower.ts';
import { Member } from './embedded/member.ts';
import { packAppend } from './embedded/packing.ts';
import type { TopicInfo, WriterOperations } from './embedded/protocol.ts';
import { Source } from './embedded/source.ts';
import type { Thread } from './embedded/thread.ts';
import { closeThreads, openThreads, type Threads } from './embedded/threads.ts';
import type {
  BatchHandler,
  BusRecord,
  Committed,
  ConsumeOptions,
  Consumption,
  DiskBus,
  Following,
  Kept,
  Lag,
  NewRecord,
} from './port.ts';

export interface EmbeddedBusOptions {
  /** The SQLite file; its folder is made when missing. It must be on a local disk, not on a network share. */
  readonly file: string;
  readonly clock: Clock;
  readonly log: Logger;
  /** How long `start` tries to open the file. */
  readonly startTimeoutMs?: number;
  /** How long a write waits for another process that holds the lock. */
  readonly lockTimeoutMs?: number;
  /** Bytes of records given to `append` and not yet durable; at the bound `append` rejects with BUS_UNAVAILABLE. */
  readonly maxPendingBytes?: number;
  readonly retentionEveryMs?: number;
  /** How long the deletion of a key stays readable on a compacted topic. */
  readonly tombstoneRetentionMs?: number;
  /** Called when it is closed and the file let go. */
  readonly onClosed?: () => void;
}

const defaults = {
  startTimeoutMs: 10_000,
  lockTimeoutMs: 5_000,
  maxPendingBytes: 64 * 1024 * 1024,
  retentionEveryMs: 10_000,
  tombstoneRetentionMs: 3_600_000,
  onClosed: () => {},
};

/** What there is between `start` and `close`. */
interface Running extends Threads {
  readonly source: Source;
  readonly stopRetention: () => void;
}

export class EmbeddedBus implements DiskBus {
  readonly kind = 'embedded';
  readonly lanes = 1;
  readonly #options: Required<EmbeddedBusOptions>;
  readonly #topics = new Map<string, Promise<TopicInfo>>();
  readonly #pending = new Set<Promise<unknown>>();
  readonly #members = new Set<Member>();
  readonly #followers = new Set<Follower>();
  #pendingBytes = 0;
  #retaining = false;
  #running: Running | null = null;
  #started: Promise<void> | null = null;
  #closed: Promise<void> | null = null;

  constructor(options: EmbeddedBusOptions) {
    this.#options = { ...defaults, ...options };
  }

  start(): Promise<void> {
    if (this.#closed !== null) return Promise.reject(this.#unusable());
    this.#started ??= this.#start().catch((error: unknown) => {
      this.#started = null;
      throw error;
    });
    return this.#started;
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async ping(): Promise<void> {
    await this.#ready().writer.call('ping', { nowMs: this.#options.clock.nowMs() });
  }

  async createTopics(specs: readonly TopicSpec[]): Promise<string[]> {
    const { created, differing } = await this.#ready().writer.call('createTopics', specs);
    const first = differing[0];
    if (first === undefined) return created;
    throw new SluiceError(
      'CONFIG_INVALID',
      `topic ${first.name} has ${first.partitions} partitions, which cannot change: ` +
        'configure that number, or give another topic prefix',
    );
  }

  async partitionCount(topic: string): Promise<number> {
    return (await this.#topic(topic)).partitionIds.length;
  }

  async append(topic: string, records: readonly NewRecord[]): Promise<void> {
    const { writer } = this.#ready();
    const { cleanup, maxMessageBytes, partitionIds } = await this.#topic(topic);
    const { bytes, runs, refused } = packAppend(records, partitionIds.length, maxMessageBytes);
    if (runs.length > 0) {
      await this.#holding(bytes.length, () =>
        writer.call(
          'append',
          {
            compact: cleanup === 'compact',
            bytes,
            runs: runs.map(({ partition, ...run }) => ({ ...run, partitionId: partitionIds[partition]! })),
            nowMs: this.#options.clock.nowMs(),
          },
          { transfer: [bytes.buffer] },
        ),
      );
    }
    if (refused.length > 0) throw new RecordsRefusedError(topic, refused);
  }

  async consume(topic: string, group: string, handler: BatchHandler, options: ConsumeOptions): Promise<Consumption> {
    const { writer, source } = this.#ready();
    const { id: topicId } = await this.#topic(topic);
    const groupId = await writer.call('group', { topicId, name: group });
    const { clock, log } = this.#options;
    const onEnded = (ended: Member) => this.#members.delete(ended);
    const member = new Member({ topic, groupId, handler, options, writer, source, clock, log, onEnded });
    this.#members.add(member);
    await member.join();
    return member;
  }

  async read(
    topic: string,
    partition: number,
    fromOffset: number,
    maxRecords: number,
  ): Promise<{ records: BusRecord[]; endOffset: number }> {
    const { source } = this.#ready();
    const partitionId = await this.#partitionId(topic, partition);
    const records: BusRecord[] = [];
    let position = fromOffset;
    for (;;) {
      const missing = maxRecords - records.length;
      const given = await source.take({ partition, partitionId, fromOffset: position, maxRecords: missing });
      records.push(...given.records);
      position = given.nextOffset;
      if (records.length >= maxRecords || position >= given.endOffset) return { records, endOffset: given.endOffset };
    }
  }

  async follow(
    topic: string,
    from: 'beginning' | 'end',
    onRecords: (records: readonly BusRecord[]) => void,
  ): Promise<Following> {
    const { reader, source } = this.#ready();
    const { id: topicId, partitionIds } = await this.#topic(topic);
    const ends = await reader.call('endOffsets', { topicId });
    const { clock, log } = this.#options;
    const follower = new Follower({ topic, partitionIds, onRecords, source, clock, log });
    this.#followers.add(follower);
    const close = async () => {
      this.#followers.delete(follower);
      await follower.close();
    };
    try {
      await follower.start(from === 'end' ? ends : ends.map(() => 0), ends);
    } catch (error) {
      await close();
      throw error;
    }
    return { close };
  }

  async lag(topic: string, group: string): Promise<Lag> {
    const { reader } = this.#ready();
    const { id: topicId } = await this.#topic(topic);
    const { records, oldestMs } = await reader.call('lag', { topicId, group });
    const ageMs = oldestMs === null ? 0 : Math.max(0, this.#options.clock.nowMs() - oldestMs);
    return { records, seconds: ageMs / 1_000 };
  }

  async committed(topic: string, group: string): Promise<readonly (Committed | null)[]> {
    const { reader } = this.#ready();
    return reader.call('committed', { topicId: (await this.#topic(topic)).id, group });
  }

  async offsetAt(topic: string, partition: number, timestampMs: number): Promise<number> {
    const { reader } = this.#ready();
    return reader.call('offsetAt', { partitionId: await this.#partitionId(topic, partition), timestampMs });
  }

  async kept(topic: string): Promise<readonly Kept[]> {
    const { reader } = this.#ready();
    return reader.call('kept', { topicId: (await this.#topic(topic)).id });
  }

  async trim(topic: string, partition: number, offset: number): Promise<void> {
    const { writer } = this.#ready();
    await writer.call('trim', { partitionId: await this.#partitionId(topic, partition), offset });
  }

  #ready(): Running {
    if (this.#running === null) throw this.#unusable();
    return this.#running;
  }

  #unusable(): SluiceError {
    const state = this.#closed === null ? 'not started' : 'closed';
    return new SluiceError('BUS_UNAVAILABLE', `the embedded bus on ${this.#options.file} is ${state}`);
  }

  async #partitionId(topic: string, partition: number): Promise<number> {
    const id = (await this.#topic(topic)).partitionIds[partition];
    if (id === undefined) throw new RangeError(`${topic} has no partition ${partition}`);
    return id;
  }

  /** Every caller awaits the same promise, so that appends go on in the order in which they came. */
  #topic(name: string): Promise<TopicInfo> {
    let topic = this.#topics.get(name);
    if (topic === undefined) {
      topic = this.#findTopic(name);
      this.#topics.set(name, topic);
      topic.catch(() => this.#topics.delete(name));
    }
    return topic;
  }

  async #findTopic(name: string): Promise<TopicInfo> {
    const topic = await this.#ready().reader.call('topic', { name });
    if (topic === null)
      throw new SluiceError('BUS_TOPIC_MISSING', `topic ${name} does not exist: run \`sluice setup\``);
    return topic;
  }

  /** Counts bytes as pending until `work` has settled, and refuses them over the bound. */
  async #holding(bytes: number, work: () => Promise<void>): Promise<void> {
    const { maxPendingBytes } = this.#options;
    if (this.#pendingBytes > 0 && this.#pendingBytes + bytes > maxPendingBytes) {
      throw new SluiceError(
        'BUS_UNAVAILABLE',
        `${this.#pendingBytes} bytes already wait for the disk, and at most ${maxPendingBytes} may: append more slowly`,
      );
    }
    this.#pendingBytes += bytes;
    const done = work();
    this.#pending.add(done);
    try {
      await done;
    } finally {
      this.#pending.delete(done);
      this.#pendingBytes -= bytes;
    }
  }

  async #start(): Promise<void> {
    const threads = await openThreads(this.#options);
    const { clock, retentionEveryMs } = this.#options;
    const stopRetention = clock.every(retentionEveryMs, () => void this.#retain(threads.writer));
    this.#running = { ...threads, source: new Source(threads.reader), stopRetention };
  }

  /** Deletes what is too old or too much, slice by slice; appends go on between the slices. */
  async #retain(writer: Thread<WriterOperations>): Promise<void> {
    if (this.#retaining) return;
    this.#retaining = true;
    const { clock, log, tombstoneRetentionMs } = this.#options;
    try {
      while (await writer.call('retain', { nowMs: clock.nowMs(), tombstoneRetentionMs }));
    } catch (error) {
      if (writer.ended === null) log.warn({ error: messageOf(error) }, 'retention stopped half-way, it goes on later');
    } finally {
      this.#retaining = false;
    }
  }

  /** Members first, which may still commit; then what was promised to be appended; then the threads. */
  async #close(): Promise<void> {
    await this.#started?.catch(() => {});
    const running = this.#running;
    if (running !== null) await this.#end(running);
    this.#options.onClosed();
  }

  async #end(running: Running): Promise<void> {
    running.stopRetention();
    await Promise.all([...this.#members].map((member) => member.close()));
    await Promise.all([...this.#followers].map((follower) => follower.close()));
    this.#running = null;
    await Promise.allSettled(this.#pending);
    await closeThreads(running);
  }
}
