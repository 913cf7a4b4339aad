/**
 * A member of a consumer group. The client has no hook for revoked partitions and rewinds every partition to its commit
 * at each rebalance, so each partition's first batch after a join carries the commit it starts from.
 */
import type { Admin, Consumer, EachBatchPayload, KafkaMessage } from 'kafkajs';
import type { Clock } from '../../core/clock.ts';
import { isSluiceError, messageOf, SluiceError } from '../../core/errors.ts';
import type { Logger } from '../../core/log.ts';
import type { Batch, BatchHandler, BusRecord, Committed, ConsumeOptions, Consumption } from '../port.ts';
import {
  assignmentLost,
  isMembershipLost,
  isRebalancing,
  isTopicMissing,
  topicMissing,
  unavailable,
} from './errors.ts';
import { recordOf } from './records.ts';

export interface ConsumptionContext {
  readonly topic: string;
  readonly group: string;
  readonly handler: BatchHandler;
  readonly options: ConsumeOptions;
  readonly consumer: Consumer;
  readonly admin: Admin;
  readonly clock: Clock;
  readonly log: Logger;
}

/** While some partitions wait for their store, others are processed. */
const partitionsAtOnce = 4;

export class KafkaConsumption implements Consumption {
  readonly failed: Promise<void>;
  readonly #context: ConsumptionContext;
  readonly #ended = Promise.withResolvers<void>();
  /** Handlers under way, by partition. */
  readonly #running = new Map<number, Promise<void>>();
  /** Partitions that had a batch since the last join: each gets a closing one. */
  readonly #active = new Map<number, number>();
  #assigned: readonly number[] = [];
  /** Partitions whose next batch is the first after an assignment. */
  #unannounced = new Set<number>();
  /** What the group has committed as of the last join; asked for when the first batch needs it. */
  #committed: Promise<Map<number, Committed>> | null = null;
  #heartbeatAtMs = 0;
  #isEnding = false;
  #closed: Promise<void> | null = null;

  constructor(context: ConsumptionContext) {
    this.#context = context;
    this.failed = this.#ended.promise;
    this.failed.catch(() => {});
  }

  assigned(): readonly number[] {
    return this.#assigned;
  }

  async start(): Promise<void> {
    const { consumer, topic } = this.#context;
    this.#listen();
    await consumer.connect();
    await consumer.subscribe({ topics: [topic], fromBeginning: true });
    await consumer.run({
      autoCommit: false,
      eachBatchAutoResolve: false,
      partitionsConsumedConcurrently: partitionsAtOnce,
      eachBatch: (payload) => this.#eachBatch(payload),
    });
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    this.#isEnding = true;
    await Promise.allSettled(this.#running.values());
    for (const [partition, endOffset] of this.#active) {
      if (this.#assigned.includes(partition) && !this.#unannounced.has(partition)) {
        await this.#context.handler(this.#closingBatch(partition, endOffset)).catch((error: unknown) => {
          this.#context.log.warn({ partition, error: messageOf(error) }, 'a partition was not committed at the end');
        });
      }
    }
    await this.#context.consumer.disconnect();
    this.#assigned = [];
    this.#ended.resolve();
  }

  #listen(): void {
    const { consumer, topic, clock, log } = this.#context;
    consumer.on('consumer.group_join', ({ payload }) => {
      this.#heartbeatAtMs = clock.nowMs();
      this.#assigned = payload.memberAssignment[topic] ?? [];
      this.#unannounced = new Set(this.#assigned);
      this.#committed = null;
      this.#active.clear();
      log.info({ topic, partitions: this.#assigned }, 'partitions assigned');
    });
    consumer.on('consumer.heartbeat', () => {
      this.#heartbeatAtMs = clock.nowMs();
    });
    consumer.on('consumer.crash', ({ payload }) => {
      log.warn({ error: payload.error.message, restart: payload.restart }, 'the Kafka consumer ended');
      if (payload.restart || this.#isEnding) return;
      this.#fail(isTopicMissing(payload.error) ? topicMissing(topic) : payload.error);
    });
  }

  #fail(error: unknown): void {
    this.#isEnding = true;
    this.#ended.reject(error instanceof Error ? error : new Error(messageOf(error)));
    void this.#context.consumer.disconnect().catch(() => {});
  }

  /** Never rejects: what the client makes of a rejection ends with a dead consumer in a living process. */
  async #eachBatch(payload: EachBatchPayload): Promise<void> {
    const { partition } = payload.batch;
    const running = this.#handleAll(payload).catch((error: unknown) => {
      if (isSluiceError(error, 'BUS_ASSIGNMENT_LOST')) {
        this.#unannounced.add(partition);
        this.#committed = null;
        this.#context.log.info({ partition, reason: error.message }, 'a batch was dropped; it will be read again');
        return this.#rewind(partition);
      }
      this.#fail(error);
    });
    this.#running.set(partition, running);
    await running;
    this.#running.delete(partition);
  }

  /** A dropped batch is read again from the commit, if the partition is still ours. */
  async #rewind(partition: number): Promise<void> {
    const committed = await this.#committedOf(partition).catch(() => null);
    const offset = String(committed?.offset ?? 0);
    if (!this.#isEnding) this.#context.consumer.seek({ topic: this.#context.topic, partition, offset });
  }

  async #handleAll(payload: EachBatchPayload): Promise<void> {
    const { batch, isRunning, isStale, resolveOffset } = payload;
    const { maxBatchRecords } = this.#context.options;
    for (let from = 0; from < batch.messages.length; from += maxBatchRecords) {
      if (this.#isEnding || !isRunning() || isStale()) return;
      const messages = batch.messages.slice(from, from + maxBatchRecords);
      const soughtTo = await this.#handle(payload, messages);
      if (soughtTo !== null) {
        this.#context.consumer.seek({ topic: batch.topic, partition: batch.partition, offset: String(soughtTo) });
        return;
      }
      resolveOffset(messages.at(-1)!.offset);
    }
  }

  /** The offset that the handler asked to go on from, or `null`. */
  async #handle(payload: EachBatchPayload, messages: readonly KafkaMessage[]): Promise<number | null> {
    const { topic, partition, highWatermark } = payload.batch;
    const records = messages.map((message) => recordOf(message, partition));
    const endOffset = Number(highWatermark);
    let soughtTo: number | null = null;
    const assignment = this.#unannounced.has(partition) ? { committed: await this.#committedOf(partition) } : null;
    const batch: Batch = {
      topic,
      partition,
      assignment,
      records,
      endOffset,
      closing: false,
      heartbeat: () => this.#heartbeat(payload),
      lastHeartbeatAtMs: () => this.#heartbeatAtMs,
      commit: (offset, metadata) =>
        this.#commit(() =>
          payload.commitOffsetsIfNecessary({
            topics: [{ topic, partitions: [{ partition, offset: String(offset), metadata } as never] }],
          }),
        ),
      seek: (offset) => {
        soughtTo = offset;
      },
    };
    this.#unannounced.delete(partition);
    this.#active.set(partition, endOffset);
    await this.#context.handler(batch);
    return soughtTo;
  }

  #closingBatch(partition: number, endOffset: number): Batch {
    const { consumer, topic } = this.#context;
    return {
      topic,
      partition,
      assignment: null,
      records: [] as BusRecord[],
      endOffset,
      closing: true,
      heartbeat: async () => {},
      lastHeartbeatAtMs: () => this.#heartbeatAtMs,
      commit: (offset, metadata) =>
        this.#commit(() => consumer.commitOffsets([{ topic, partition, offset: String(offset), metadata }])),
      seek: () => {},
    };
  }

  async #committedOf(partition: number): Promise<Committed | null> {
    this.#committed ??= this.#fetchCommitted();
    try {
      return (await this.#committed).get(partition) ?? null;
    } catch (error) {
      this.#committed = null;
      // The batch is dropped and comes again: without its commit it must not be processed.
      throw new SluiceError('BUS_ASSIGNMENT_LOST', `the committed offsets cannot be read: ${messageOf(error)}`);
    }
  }

  async #fetchCommitted(): Promise<Map<number, Committed>> {
    const { admin, group, topic } = this.#context;
    const [answer] = await admin.fetchOffsets({ groupId: group, topics: [topic] });
    const known = (answer?.partitions ?? []).filter(({ offset }) => Number(offset) >= 0);
    return new Map(
      known.map(({ partition, offset, metadata }) => [partition, { offset: Number(offset), metadata: metadata ?? '' }]),
    );
  }

  async #heartbeat(payload: EachBatchPayload): Promise<void> {
    try {
      await payload.heartbeat();
    } catch (error) {
      // The group is about to rebalance and has heard us: the partition is ours until we join again, after this batch.
      if (isRebalancing(error)) {
        this.#heartbeatAtMs = this.#context.clock.nowMs();
        return;
      }
      if (isMembershipLost(error)) throw assignmentLost(error);
      // Not heard is not lost: the age of the last heartbeat tells how sure we may be.
    }
  }

  async #commit(commit: () => Promise<void>): Promise<void> {
    try {
      await commit();
    } catch (error) {
      if (isMembershipLost(error)) throw assignmentLost(error);
      throw unavailable('the commit failed', error);
    }
  }
}
