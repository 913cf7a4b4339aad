/** What the bus asks of its two threads. Times are the bus's clock: the threads have none of their own. */
import type { MessagePort } from 'node:worker_threads';
import type { ErrorCode } from '../../core/errors.ts';
import type { TopicSpec } from '../../core/topics.ts';
import type { Committed, Kept } from '../port.ts';

/** `workerData` of a thread. */
export interface ThreadOptions {
  readonly role: 'writer' | 'reader';
  readonly file: string;
  /** How long to wait for the lock of another process, milliseconds. */
  readonly lockTimeoutMs: number;
  /** The writer posts here after each commit; the reader listens. */
  readonly committed: MessagePort;
}

export interface TopicInfo {
  readonly id: number;
  readonly cleanup: TopicSpec['cleanup'];
  readonly maxMessageBytes: number;
  /** By partition number. */
  readonly partitionIds: readonly number[];
}

export interface AppendArgs {
  readonly compact: boolean;
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly runs: readonly AppendRun[];
  readonly nowMs: number;
}

export interface AppendRun {
  readonly partitionId: number;
  readonly start: number;
  readonly end: number;
  readonly count: number;
  readonly newestMs: number;
}

/** What a member knows of one partition it owns. The epoch rises with every change of owner: a commit names it. */
export interface Lease extends LeaseRef {
  readonly partition: number;
  readonly committed: Committed | null;
}

export interface TendArgs {
  readonly groupId: number;
  /** `null`: not a member (yet, or any more). */
  readonly memberId: number | null;
  readonly nowMs: number;
  /** When this member last showed that it works. */
  readonly heardAtMs: number;
  readonly sessionTimeoutMs: number;
  /** `false` while closing: keep what is owned, join and claim nothing. */
  readonly claiming: boolean;
  /** Leases this member has done with: free for another member, or for a fresh assignment to this one. */
  readonly returned: readonly LeaseRef[];
}

export interface LeaseRef {
  readonly partitionId: number;
  readonly epoch: number;
}

export interface Tended {
  readonly memberId: number | null;
  readonly owned: readonly Lease[];
  /** Partitions above the fair share, to be given up after their current batch. */
  readonly surplus: readonly number[];
}

export interface CommitArgs extends LeaseRef {
  readonly groupId: number;
  readonly memberId: number;
  readonly nowMs: number;
  readonly offset: number;
  readonly metadata: string;
}

export interface WriterOperations {
  open(args: null): void;
  close(args: null): void;
  ping(args: { nowMs: number }): void;
  append(args: AppendArgs): void;
  createTopics(args: readonly TopicSpec[]): { created: string[]; differing: { name: string; partitions: number }[] };
  /** The id of the group, made when it is new. */
  group(args: { topicId: number; name: string }): number;
  tend(args: TendArgs): Tended;
  /** `false`: the lease is lost, nothing was committed. */
  commit(args: CommitArgs): boolean;
  leave(args: { groupId: number; memberId: number }): void;
  /** Deletes one slice of what is too old or too much; `true` when there is more. */
  retain(args: { nowMs: number; tombstoneRetentionMs: number }): boolean;
  trim(args: { partitionId: number; offset: number }): void;
}

export interface FetchArgs {
  readonly partitionId: number;
  readonly fromOffset: number;
  readonly maxRecords: number;
  /** Answer only when there is something, or on `cancel`. */
  readonly wait: boolean;
}

export interface Fetched {
  /** Whole batches, one after the other; the first may begin before `fromOffset`. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly batches: readonly { baseOffset: number; bytes: number }[];
  /** Where to go on when all of the batches are taken. */
  readonly nextOffset: number;
  readonly endOffset: number;
}

export interface ReaderOperations {
  open(args: null): void;
  close(args: null): void;
  topic(args: { name: string }): TopicInfo | null;
  endOffsets(args: { topicId: number }): number[];
  kept(args: { topicId: number }): Kept[];
  fetch(args: FetchArgs): Fetched;
  lag(args: { topicId: number; group: string }): { records: number; oldestMs: number | null };
  /** By partition number. */
  committed(args: { topicId: number; group: string }): (Committed | null)[];
  /** The start of the first batch with a record of this time or later, else the end. */
  offsetAt(args: { partitionId: number; timestampMs: number }): number;
}

export interface Request {
  readonly id: number;
  readonly op: string;
  readonly args: unknown;
}

/** Ends the waiting of the request with this id; it answers with nothing. */
export interface Cancel {
  readonly cancel: number;
}

export type Reply =
  | { readonly id: number; readonly result: unknown }
  | {
      readonly id: number;
      readonly error: { readonly code: ErrorCode; readonly message: string };
    };
