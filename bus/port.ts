/**
 * The event bus: partitioned, ordered, replayable topics with consumer groups. Adapters: `embedded` (SQLite, one
 * machine) and `kafka`. The comments below are the contract; `test/contracts/bus.ts` holds every adapter to it.
 */
import type { TopicSpec } from '../core/topics.ts';

export type Headers = Readonly<Record<string, string>>;

/** A record to append. */
export interface NewRecord {
  /** Decides the partition (murmur2, as Kafka's Java client) unless `partition` is given. */
  readonly key: string;
  /** `null` is a tombstone on a compacted topic, and "no value" on others. */
  readonly value: Uint8Array | null;
  readonly headers: Headers;
  /** Milliseconds since the epoch. */
  readonly timestampMs: number;
  readonly partition?: number;
}

/** A record as the bus holds it. Offsets rise within a partition; on a compacted topic there are gaps. */
export interface BusRecord {
  readonly key: string;
  readonly value: Buffer | null;
  readonly headers: Headers;
  readonly timestampMs: number;
  readonly partition: number;
  readonly offset: number;
}

/** What a group has committed for a partition: the offset of the next record to process, and the consumer's own note. */
export interface Committed {
  readonly offset: number;
  /** At most 4,096 bytes. Empty when none was given. */
  readonly metadata: string;
}

/**
 * A run of records of one partition, in order. Everything the consumer does for it happens inside its handler: the next
 * batch of the partition comes only after the handler has resolved, and never two at once for a partition.
 */
export interface Batch {
  readonly topic: string;
  readonly partition: number;
  /** Set on the first batch after an assignment (`committed: null` = nothing committed yet), else `null`. */
  readonly assignment: { readonly committed: Committed | null } | null;
  /** Empty only when `closing`. */
  readonly records: readonly BusRecord[];
  /** The offset after the newest record of the partition, as known when the batch was fetched. */
  readonly endOffset: number;
  /** The consumption is being closed: the last chance to commit. Comes once per partition that had a batch. */
  readonly closing: boolean;
  /** Tells the bus that this member lives, at most every few seconds however often it is called. Rejects with BUS_ASSIGNMENT_LOST. */
  heartbeat(): Promise<void>;
  /** When the bus last accepted a heartbeat of this member (clock of this process, ms): the age of our claim. */
  lastHeartbeatAtMs(): number;
  /**
   * Commits `offset` (next record to process) with a note. Rejects with BUS_ASSIGNMENT_LOST when this member no longer
   * owns the partition: that refusal is the fence. Processed is not committable: nothing is ever committed but by this call.
   */
  commit(offset: number, metadata: string): Promise<void>;
  /** After this handler resolves the next batch of the partition starts at `offset`. */
  seek(offset: number): void;
}

/**
 * Handles a batch. When it rejects with BUS_ASSIGNMENT_LOST the batch is dropped, and a later assignment starts from
 * the commit. Any other rejection is a fault of the program: the consumption fails (see `Consumption.failed`).
 */
export type BatchHandler = (batch: Batch) => Promise<void>;

export interface ConsumeOptions {
  /** A member that is not heard of for so long loses its partitions. */
  readonly sessionTimeoutMs: number;
  /** The most records of one batch. */
  readonly maxBatchRecords: number;
}

export interface Consumption {
  /** Partitions this member owns now. */
  assigned(): readonly number[];
  /** Rejects when the consumption ended by itself and cannot go on (never silent); pending otherwise, resolves on close. */
  readonly failed: Promise<void>;
  /** Lets running handlers end, gives each partition its closing batch, leaves the group. Idempotent. */
  close(): Promise<void>;
}

export interface Following {
  close(): Promise<void>;
}

export interface Lag {
  /** Records between what the group has committed and the ends of the topic. */
  readonly records: number;
  /** Age of the oldest record not yet committed, 0 when there is none. */
  readonly seconds: number;
}

export interface Bus {
  readonly kind: 'embedded' | 'kafka';
  /**
   * Appends to partitions p and q are independent of each other where `p % lanes !== q % lanes`; within a lane at most
   * one append is under way at a time, so a caller that wants throughput keeps one append in flight per lane.
   */
  readonly lanes: number;

  /** Connects; retries for `startTimeoutMs` (adapter option), then rejects with BUS_UNAVAILABLE. Idempotent. */
  start(): Promise<void>;
  /** Idempotent. Pending appends are finished or rejected, never left hanging. */
  close(): Promise<void>;
  /** Resolves when the bus answers now, rejects with what is wrong: for readiness. */
  ping(): Promise<void>;

  /** Creates what is missing and leaves what exists; returns the names it created. Rejects when an existing topic's partition count differs. */
  createTopics(specs: readonly TopicSpec[]): Promise<string[]>;
  /** Rejects with BUS_TOPIC_MISSING. */
  partitionCount(topic: string): Promise<number>;

  /**
   * Resolves when every record is durable (Kafka: acks=all; embedded: committed with fsync), never earlier. Records
   * reach a partition in the order of the calls and of each call's list.
   * Rejects with BUS_UNAVAILABLE: not promised; the caller may append the same records again, before any newer one of
   * the same partitions. Rejects with RecordsRefusedError: the named records can never be appended, all others are durable.
   */
  append(topic: string, records: readonly NewRecord[]): Promise<void>;

  /** Joins a group. Every partition of the topic is given to exactly one living member; one without a commit starts at its beginning. */
  consume(topic: string, group: string, handler: BatchHandler, options: ConsumeOptions): Promise<Consumption>;

  /**
   * Reads back up to `maxRecords` records of a partition from `fromOffset` (or the first one still kept after it);
   * fewer only at the end. `endOffset` is the offset after the newest record.
   */
  read(
    topic: string,
    partition: number,
    fromOffset: number,
    maxRecords: number,
  ): Promise<{ records: BusRecord[]; endOffset: number }>;

  /**
   * Gives every record of a topic, of all partitions, to `onRecords`, outside any group: from the beginning or only new
   * ones. Resolves once everything that was there at the call has been given; goes on until closed.
   */
  follow(
    topic: string,
    from: 'beginning' | 'end',
    onRecords: (records: readonly BusRecord[]) => void,
  ): Promise<Following>;

  lag(topic: string, group: string): Promise<Lag>;

  /** What a group has committed, by partition number; `null` where it has not. Outside the group, and changing nothing. */
  committed(topic: string, group: string): Promise<readonly (Committed | null)[]>;

  /**
   * Where to read from to miss nothing since a time: no record of the partition before this offset has that timestamp or
   * a later one. Some after it may be older. The end offset when there is none.
   */
  offsetAt(topic: string, partition: number, timestampMs: number): Promise<number>;
}

/** What a partition holds. */
export interface Kept {
  /** Of the oldest record; `endOffset` when there is none. */
  readonly firstOffset: number;
  readonly endOffset: number;
  /** What its records take, without the file's own share. */
  readonly bytes: number;
}

/** A bus on the disk of this machine whose reader says what may go: the spool of a gateway. */
export interface DiskBus extends Bus {
  /** By partition number. */
  kept(topic: string): Promise<readonly Kept[]>;
  /**
   * Lets records of a partition before `offset` go, oldest first. Those that were committed together go together: up to
   * 128 KiB before `offset` may stay, until a later call. Durable when it resolves; the space is used again.
   */
  trim(topic: string, partition: number, offset: number): Promise<void>;
}
