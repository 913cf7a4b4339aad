import { isSluiceError, SluiceError } from '../../core/errors.ts';
import type { Batch, BatchHandler, BusRecord } from '../port.ts';
import type { Lease } from './protocol.ts';

/** What the member does for its partitions. */
export interface Membership {
  readonly topic: string;
  readonly handler: BatchHandler;
  nowMs(): number;
  /** Waits for records; gives none when the signal aborts, or where the records before `nextOffset` are gone. */
  fetch(
    lease: Lease,
    fromOffset: number,
    signal: AbortSignal,
  ): Promise<{ records: BusRecord[]; nextOffset: number; endOffset: number }>;
  /** `false`: the lease is lost. */
  commit(lease: Lease, offset: number, metadata: string): Promise<boolean>;
  heartbeat(): Promise<void>;
  lastHeartbeatAtMs(): number;
}

const MAX_METADATA_BYTES = 4_096;

/** Takes one owned partition through the handler, from its assignment until it is lost, given up or closed. */
export class PartitionWorker {
  readonly lease: Lease;
  /** Resolves when no handler runs any more and none will; rejects with what the handler threw. */
  readonly ended: Promise<void>;
  readonly #membership: Membership;
  readonly #stop = new AbortController();
  #state: 'owned' | 'lost' | 'givingUp' | 'closing' = 'owned';
  #handlerHeardAtMs: number | null = null;

  /** Starts once `predecessor`, this member's former worker of the same partition, has ended. */
  constructor(lease: Lease, membership: Membership, predecessor: Promise<unknown>) {
    this.lease = lease;
    this.#membership = membership;
    this.ended = predecessor.then(() => this.#run());
  }

  get lost(): boolean {
    return this.#state === 'lost';
  }

  /** When the running handler started or last called `heartbeat()`; `null` when none runs. */
  get handlerHeardAtMs(): number | null {
    return this.#handlerHeardAtMs;
  }

  /** The partition is someone else's: commits are refused from now on. */
  lose(): void {
    this.#end('lost');
  }

  /** Ends after the current batch, so that another member can take the partition. */
  giveUp(): void {
    this.#end('givingUp');
  }

  /** Ends after the current batch and a closing one. */
  close(): void {
    this.#end('closing');
  }

  #end(state: 'lost' | 'givingUp' | 'closing'): void {
    if (this.#state === 'lost') return;
    this.#state = state;
    this.#stop.abort();
  }

  async #run(): Promise<void> {
    let position = this.lease.committed?.offset ?? 0;
    let assignment: Batch['assignment'] = { committed: this.lease.committed };
    let endOffset = position;
    while (!this.#stop.signal.aborted) {
      const fetched = await this.#membership.fetch(this.lease, position, this.#stop.signal);
      if (this.#stop.signal.aborted) break;
      position = fetched.nextOffset;
      if (fetched.records.length === 0) continue;
      endOffset = fetched.endOffset;
      const soughtOffset = await this.#handle({ assignment, records: fetched.records, endOffset, closing: false });
      position = soughtOffset ?? position;
      assignment = null;
    }
    const hadBatch = assignment === null;
    if (this.#state === 'closing' && hadBatch)
      await this.#handle({ assignment, records: [], endOffset, closing: true });
  }

  /** Runs the handler; resolves to the offset it sought, if it did. */
  async #handle(given: Pick<Batch, 'assignment' | 'records' | 'endOffset' | 'closing'>): Promise<number | null> {
    const membership = this.#membership;
    let soughtOffset: number | null = null;
    this.#handlerHeardAtMs = membership.nowMs();
    try {
      await membership.handler({
        topic: membership.topic,
        partition: this.lease.partition,
        ...given,
        heartbeat: () => this.#heartbeat(),
        lastHeartbeatAtMs: () => membership.lastHeartbeatAtMs(),
        commit: (offset, metadata) => this.#commit(offset, metadata),
        seek: (offset) => {
          soughtOffset = offset;
        },
      });
    } catch (error) {
      // A refused batch is dropped: whoever owns the partition starts from the commit.
      if (!isSluiceError(error, 'BUS_ASSIGNMENT_LOST')) throw error;
      this.lose();
    } finally {
      this.#handlerHeardAtMs = null;
    }
    return soughtOffset;
  }

  async #heartbeat(): Promise<void> {
    if (this.#handlerHeardAtMs !== null) this.#handlerHeardAtMs = this.#membership.nowMs();
    if (!this.lost) await this.#membership.heartbeat();
    this.#refuseIfLost();
  }

  async #commit(offset: number, metadata: string): Promise<void> {
    if (!Number.isSafeInteger(offset) || offset < 0) throw new RangeError(`${offset} is no offset to commit`);
    const bytes = Buffer.byteLength(metadata);
    if (bytes > MAX_METADATA_BYTES) {
      throw new RangeError(`commit metadata of ${bytes} bytes, and at most ${MAX_METADATA_BYTES} are kept`);
    }
    this.#refuseIfLost();
    if (!(await this.#membership.commit(this.lease, offset, metadata))) this.lose();
    this.#refuseIfLost();
  }

  #refuseIfLost(): void {
    if (!this.lost) return;
    const { topic } = this.#membership;
    throw new SluiceError('BUS_ASSIGNMENT_LOST', `partition ${this.lease.partition} of ${topic} is not ours any more`);
  }
}
