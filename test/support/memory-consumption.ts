/** One member that owns every partition of a topic in memory: a loop per partition, as the bus port describes it. */
import type { Batch, BatchHandler, BusRecord, Committed, Consumption } from '../../bus/port.ts';
import type { Clock } from '../../core/clock.ts';
import { isSluiceError } from '../../core/errors.ts';

/** Topic and group → partition → commit. */
export type CommittedOffsets = Map<string, Map<number, Committed>>;

interface Context {
  readonly topic: string;
  readonly partitions: readonly (readonly BusRecord[])[];
  readonly committed: Map<number, Committed>;
  readonly handler: BatchHandler;
  readonly maxBatchRecords: number;
  readonly clock: Clock;
}

export class MemoryConsumption implements Consumption {
  readonly failed: Promise<void>;
  readonly #context: Context;
  readonly #loops: Promise<unknown>;
  #isClosing = false;
  #wakers: (() => void)[] = [];

  constructor(context: Context) {
    this.#context = context;
    this.#loops = Promise.all(context.partitions.map((_, partition) => this.#run(partition)));
    this.failed = this.#loops.then(() => {});
    this.failed.catch(() => {});
  }

  assigned(): readonly number[] {
    return this.#isClosing ? [] : this.#context.partitions.map((_, partition) => partition);
  }

  async close(): Promise<void> {
    this.#isClosing = true;
    this.wake();
    await this.#loops.catch(() => {});
  }

  /** There may be new records. */
  wake(): void {
    const wakers = this.#wakers;
    this.#wakers = [];
    for (const waker of wakers) waker();
  }

  async #run(partition: number): Promise<void> {
    const { partitions, committed, maxBatchRecords } = this.#context;
    const log = partitions[partition]!;
    let position = committed.get(partition)?.offset ?? 0;
    let isFirst = true;
    while (!this.#isClosing) {
      if (position >= log.length) {
        await new Promise<void>((resolve) => this.#wakers.push(resolve));
        continue;
      }
      const records = log.slice(position, position + maxBatchRecords);
      const next = await this.#handle(partition, records, isFirst, position + records.length);
      isFirst = next === null;
      position = next ?? committed.get(partition)?.offset ?? 0;
    }
    if (!isFirst) await this.#handle(partition, [], false, position);
  }

  /** The position after the batch; `null` when the handler found its assignment lost. */
  async #handle(partition: number, records: BusRecord[], isFirst: boolean, end: number): Promise<number | null> {
    const { topic, partitions, committed, handler, clock } = this.#context;
    let next = end;
    const batch: Batch = {
      topic,
      partition,
      assignment: isFirst ? { committed: committed.get(partition) ?? null } : null,
      records,
      endOffset: partitions[partition]!.length,
      closing: records.length === 0,
      heartbeat: async () => {},
      lastHeartbeatAtMs: () => clock.nowMs(),
      commit: async (offset, metadata) => {
        committed.set(partition, { offset, metadata });
      },
      seek: (offset) => {
        next = offset;
      },
    };
    try {
      await handler(batch);
      return next;
    } catch (error) {
      if (isSluiceError(error, 'BUS_ASSIGNMENT_LOST')) return null;
      throw error;
    }
  }
}
