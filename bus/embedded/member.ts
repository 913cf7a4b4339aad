import type { Clock } from '../../core/clock.ts';
import { messageOf } from '../../core/errors.ts';
import type { Logger } from '../../core/log.ts';
import type { BatchHandler, BusRecord, ConsumeOptions, Consumption } from '../port.ts';
import { type Membership, PartitionWorker } from './partition-worker.ts';
import type { Lease, Tended, WriterOperations } from './protocol.ts';
import type { Source } from './source.ts';
import type { Thread } from './thread.ts';

/** How soon a member notices that another came or left. */
const TEND_EVERY_MS = 500;
/** After a read or a heartbeat that the file refused. */
const RETRY_AFTER_MS = 250;

interface MemberParts {
  readonly topic: string;
  readonly groupId: number;
  readonly handler: BatchHandler;
  readonly options: ConsumeOptions;
  readonly writer: Thread<WriterOperations>;
  readonly source: Source;
  readonly clock: Clock;
  readonly log: Logger;
  /** Called once, when the member has left. */
  readonly onEnded: (member: Member) => void;
}

/**
 * A member of a group: tends its membership (heartbeat, fair share) and keeps one worker per partition it owns. It is
 * heard of through its slowest handler: one that neither ends nor calls `heartbeat()` costs the member its session.
 */
export class Member implements Consumption, Membership {
  readonly topic: string;
  readonly handler: BatchHandler;
  readonly failed: Promise<void>;
  readonly #parts: MemberParts;
  readonly #outcome = Promise.withResolvers<void>();
  readonly #tendEveryMs: number;
  /** By partition: the newest worker of each that this member ever had. */
  readonly #workers = new Map<number, PartitionWorker>();
  readonly #running = new Set<PartitionWorker>();
  /** Leases whose worker has ended: the next heartbeat gives them back. */
  readonly #returned = new Set<Lease>();
  #memberId: number | null = null;
  #heartbeatAtMs: number;
  #tending: Promise<void> | null = null;
  #stopTending: () => void = () => {};
  #claiming = true;
  #closed: Promise<void> | null = null;

  constructor(parts: MemberParts) {
    this.#parts = parts;
    this.topic = parts.topic;
    this.handler = parts.handler;
    this.failed = this.#outcome.promise;
    this.#heartbeatAtMs = parts.clock.nowMs();
    this.#tendEveryMs = Math.min(TEND_EVERY_MS, parts.options.sessionTimeoutMs / 3);
  }

  /** Rejects with BUS_UNAVAILABLE, and is no member then. */
  async join(): Promise<void> {
    this.#stopTending = this.#parts.clock.every(this.#tendEveryMs, () => void this.#tendOrWarn());
    try {
      await this.#tend();
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  assigned(): readonly number[] {
    return [...this.#running].filter((worker) => !worker.lost).map((worker) => worker.lease.partition);
  }

  close(): Promise<void> {
    this.#closed ??= this.#end((worker) => worker.close());
    return this.#closed;
  }

  nowMs(): number {
    return this.#parts.clock.nowMs();
  }

  lastHeartbeatAtMs(): number {
    return this.#heartbeatAtMs;
  }

  async heartbeat(): Promise<void> {
    if (this.nowMs() - this.#heartbeatAtMs >= this.#tendEveryMs) await this.#tend();
  }

  async fetch(
    { partition, partitionId }: Lease,
    fromOffset: number,
    signal: AbortSignal,
  ): Promise<{ records: BusRecord[]; nextOffset: number; endOffset: number }> {
    const { source, options, clock, log, topic } = this.#parts;
    for (;;) {
      try {
        return await source.next({ partition, partitionId, fromOffset, maxRecords: options.maxBatchRecords }, signal);
      } catch (error) {
        if (source.ended !== null) throw error;
        if (signal.aborted) return { records: [], nextOffset: fromOffset, endOffset: fromOffset };
        log.warn({ topic, partition, error: messageOf(error) }, 'cannot read a partition, trying again');
        await clock.sleep(RETRY_AFTER_MS, signal);
      }
    }
  }

  commit({ partitionId, epoch }: Lease, offset: number, metadata: string): Promise<boolean> {
    const { writer, groupId } = this.#parts;
    if (this.#memberId === null) return Promise.resolve(false);
    return writer.call('commit', {
      groupId,
      memberId: this.#memberId,
      partitionId,
      epoch,
      nowMs: this.nowMs(),
      offset,
      metadata,
    });
  }

  /** One heartbeat; who asks while one is under way gets that one. */
  #tend(): Promise<void> {
    this.#tending ??= this.#tendOnce().finally(() => {
      this.#tending = null;
    });
    return this.#tending;
  }

  async #tendOrWarn(): Promise<void> {
    try {
      await this.#tend();
    } catch (error) {
      const { writer, log, topic } = this.#parts;
      if (writer.ended !== null) this.#fail(writer.ended);
      else log.warn({ topic, error: messageOf(error) }, 'the heartbeat of a group member failed, trying again');
    }
  }

  async #tendOnce(): Promise<void> {
    const { writer, groupId, options } = this.#parts;
    const nowMs = this.nowMs();
    const heardAtMs = this.#heardAtMs(nowMs);
    const returned = [...this.#returned];
    const tended = await writer.call('tend', {
      groupId,
      memberId: this.#memberId,
      nowMs,
      heardAtMs,
      sessionTimeoutMs: options.sessionTimeoutMs,
      claiming: this.#claiming,
      returned: returned.map(({ partitionId, epoch }) => ({ partitionId, epoch })),
    });
    this.#memberId = tended.memberId;
    if (tended.memberId !== null) this.#heartbeatAtMs = heardAtMs;
    for (const lease of returned) this.#returned.delete(lease);
    this.#follow(tended);
  }

  #heardAtMs(nowMs: number): number {
    let heardAtMs = nowMs;
    for (const worker of this.#running) heardAtMs = Math.min(heardAtMs, worker.handlerHeardAtMs ?? nowMs);
    return heardAtMs;
  }

  /** Brings the workers in line with what the member owns now. */
  #follow({ owned, surplus }: Tended): void {
    for (const worker of this.#running) {
      if (!owned.some((lease) => isSame(lease, worker.lease))) worker.lose();
    }
    for (const lease of owned) {
      const newest = this.#workers.get(lease.partition);
      const known = newest !== undefined && isSame(newest.lease, lease);
      if (known && surplus.includes(lease.partition)) newest.giveUp();
      if (!known && this.#claiming) this.#start(lease, newest);
    }
  }

  #start(lease: Lease, predecessor: PartitionWorker | undefined): void {
    const worker = new PartitionWorker(lease, this, predecessor?.ended ?? Promise.resolve());
    this.#workers.set(lease.partition, worker);
    this.#running.add(worker);
    worker.ended.then(
      () => {
        this.#running.delete(worker);
        this.#returned.add(lease);
        if (this.#closed === null) void this.#tendOrWarn();
      },
      (error: unknown) => {
        this.#running.delete(worker);
        this.#fail(error);
      },
    );
  }

  #fail(error: unknown): void {
    this.#outcome.reject(error);
    this.#closed ??= this.#end((worker) => worker.giveUp());
  }

  async #end(stop: (worker: PartitionWorker) => void): Promise<void> {
    this.#claiming = false;
    for (const worker of this.#running) stop(worker);
    await Promise.allSettled([...this.#running].map((worker) => worker.ended));
    this.#stopTending();
    await this.#tending?.catch(() => {});
    await this.#leave();
    this.#parts.onEnded(this);
    this.#outcome.resolve();
  }

  async #leave(): Promise<void> {
    const { writer, groupId, log } = this.#parts;
    const memberId = this.#memberId;
    this.#memberId = null;
    if (memberId === null || writer.ended !== null) return;
    try {
      await writer.call('leave', { groupId, memberId });
    } catch (error) {
      log.warn({ topic: this.topic, error: messageOf(error) }, 'cannot leave the group, the session will expire');
    }
  }
}

function isSame(one: Lease, other: Lease): boolean {
  return one.partition === other.partition && one.epoch === other.epoch;
}
