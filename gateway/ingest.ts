/**
 * Hold → append → acknowledge. Each bus lane has one queue and one append under way; while it is, the next batch
 * gathers. A batch that cannot be appended is appended again, the very same one, before anything newer of its lane:
 * the counters in `ingest.id` rise within a partition, and the processor takes one that does not for a repetition.
 */
import type { Bus, NewRecord } from '../bus/port.ts';
import type { Clock } from '../core/clock.ts';
import { messageOf, RecordsRefusedError } from '../core/errors.ts';
import { count, emptyGatewayLedger, type GatewayLedger } from '../core/ledger.ts';
import type { Logger } from '../core/log.ts';
import { headers, type TopicNames } from '../core/topics.ts';
import { AckTimes } from './ack-times.ts';
import type { AckOrder, Held } from './held.ts';
import type { GatewayOptions } from './options.ts';

const maxBatchRecords = 1000;
const firstRetryMs = 50;
const longestRetryMs = 2000;
/** The DLQ takes a little more than the raw topic; what is cut off is told in `dlq.error`. */
const maxDeadLetterBytes = 1024 * 1024;
/** Messages held for so long say that the bus stalls. */
const stalledAfterMs = 2000;

export interface IngestContext {
  readonly bus: Bus;
  readonly topics: TopicNames;
  readonly partitions: number;
  readonly options: GatewayOptions;
  readonly clock: Clock;
  readonly log: Logger;
  /** Called after messages were acknowledged: there may be room again. */
  readonly onRelease: () => void;
}

interface Lane {
  queue: Held[];
  inFlight: Held[];
  /** A flush waits for its linger time. */
  isWaiting: boolean;
}

export class Ingest {
  readonly ledger: GatewayLedger = emptyGatewayLedger();
  readonly ackTimes: AckTimes;
  readonly #context: IngestContext;
  readonly #lanes: Lane[];
  /** Newest timestamp appended to each partition: ticks are for those that fell silent. */
  readonly lastAppendMs: Float64Array;
  #heldBytes = 0;
  #problem: string | null = null;
  readonly #closing = new AbortController();

  constructor(context: IngestContext) {
    this.#context = context;
    this.ackTimes = new AckTimes();
    this.#lanes = Array.from({ length: context.bus.lanes }, () => ({ queue: [], inFlight: [], isWaiting: false }));
    this.lastAppendMs = new Float64Array(context.partitions);
  }

  /** Whether the caps are reached: nothing more is read from clients until it is not. */
  get isFull(): boolean {
    const { maxHeldMessages, maxHeldBytes } = this.#context.options;
    return this.ledger.held >= maxHeldMessages || this.#heldBytes >= maxHeldBytes;
  }

  /** What is wrong with the bus, in words. */
  problems(): string[] {
    const oldestMs = this.#oldestHeldMs();
    if (this.#problem !== null) return [`bus: ${this.#problem}`];
    return oldestMs > stalledAfterMs ? [`bus: nothing became durable for ${Math.round(oldestMs / 1000)} s`] : [];
  }

  /** Takes a message: from here on it is ours until it is durable. `record.partition` is set. */
  take(record: NewRecord, order: AckOrder, acknowledge: () => void): void {
    const bytes = record.value?.length ?? 0;
    const held: Held = { record, bytes, takenAtMs: record.timestampMs, acknowledge, order, isDurable: false };
    this.ledger.received++;
    this.ledger.held++;
    this.#heldBytes += bytes;
    order.add(held);
    this.#enqueue(held);
  }

  /** Appends a record that no client waits for, in its place among those of its partition. */
  appendOwn(record: NewRecord, order: AckOrder): void {
    const held: Held = { record, bytes: 0, takenAtMs: record.timestampMs, acknowledge: noop, order, isDurable: false };
    order.add(held);
    this.#enqueue(held);
  }

  /** Resolves when nothing is held any more, or when the deadline is over; returns how many messages are still held. */
  async drain(deadlineMs: number): Promise<number> {
    const { clock } = this.#context;
    const untilMs = clock.nowMs() + deadlineMs;
    while (this.ledger.held > 0 && clock.nowMs() < untilMs) await clock.sleep(5);
    this.#closing.abort();
    return this.ledger.held;
  }

  #enqueue(held: Held): void {
    const lane = this.#lanes[held.record.partition! % this.#lanes.length]!;
    lane.queue.push(held);
    if (lane.inFlight.length === 0) this.#schedule(lane);
  }

  #schedule(lane: Lane): void {
    if (lane.queue.length >= maxBatchRecords) {
      this.#flush(lane);
    } else if (!lane.isWaiting) {
      lane.isWaiting = true;
      void this.#context.clock.sleep(this.#context.options.lingerMs).then(() => {
        lane.isWaiting = false;
        if (lane.inFlight.length === 0 && lane.queue.length > 0) this.#flush(lane);
      });
    }
  }

  #flush(lane: Lane): void {
    lane.inFlight = lane.queue.length <= maxBatchRecords ? lane.queue : lane.queue.slice(0, maxBatchRecords);
    lane.queue = lane.queue.length <= maxBatchRecords ? [] : lane.queue.slice(maxBatchRecords);
    void this.#appendUntilDurable(lane).then((isDone) => {
      if (isDone) this.#release(lane);
    });
  }

  /** `false` only when the gateway closed before: nothing of the batch was promised to anyone. */
  async #appendUntilDurable(lane: Lane): Promise<boolean> {
    const { bus, topics, clock, log } = this.#context;
    const records = lane.inFlight.map(({ record }) => record);
    for (let pauseMs = firstRetryMs; ; pauseMs = Math.min(pauseMs * 2, longestRetryMs)) {
      try {
        await bus.append(topics.raw, records);
        this.#problem = null;
        return true;
      } catch (error) {
        if (error instanceof RecordsRefusedError) return this.#deadLetter(lane, error);
        if (this.#problem === null) log.warn({ error: messageOf(error) }, 'the bus takes no messages; holding them');
        this.#problem = messageOf(error);
      }
      await clock.sleep(pauseMs, this.#closing.signal);
      if (this.#closing.signal.aborted) return false;
    }
  }

  /** The refused ones go to the DLQ and are acknowledged: a device would send them again for ever. */
  async #deadLetter(lane: Lane, { refused }: RecordsRefusedError): Promise<boolean> {
    const { bus, topics, clock, log } = this.#context;
    const letters = refused.map(({ index, message }) => deadLetterOf(lane.inFlight[index]!.record, message));
    for (;;) {
      try {
        await bus.append(topics.dlq, letters);
        break;
      } catch (error) {
        if (error instanceof RecordsRefusedError) {
          log.error({ error: error.message }, 'a record that the bus refuses is refused by the DLQ too; it is lost');
          break;
        }
        await clock.sleep(longestRetryMs, this.#closing.signal);
        if (this.#closing.signal.aborted) return false;
      }
    }
    count(this.ledger.dropped, 'not_appendable', refused.length);
    this.ledger.appended -= refused.length;
    return true;
  }

  #release(lane: Lane): void {
    const nowMs = this.#context.clock.nowMs();
    const orders = new Set<AckOrder>();
    let messages = 0;
    for (const held of lane.inFlight) {
      held.isDurable = true;
      orders.add(held.order);
      this.lastAppendMs[held.record.partition!] = nowMs;
      if (held.acknowledge === noop) continue;
      messages++;
      this.#heldBytes -= held.bytes;
      this.ackTimes.add(nowMs - held.takenAtMs, nowMs);
    }
    this.ledger.appended += messages;
    this.ledger.held -= messages;
    lane.inFlight = [];
    for (const order of orders) order.release();
    if (lane.queue.length > 0) this.#schedule(lane);
    this.#context.onRelease();
  }

  #oldestHeldMs(): number {
    const nowMs = this.#context.clock.nowMs();
    const oldest = this.#lanes.map(({ inFlight, queue }) => (inFlight[0] ?? queue[0])?.takenAtMs ?? nowMs);
    return nowMs - Math.min(...oldest);
  }
}

const noop = () => {};

function deadLetterOf(record: NewRecord, message: string): NewRecord {
  const value = record.value === null ? null : record.value.subarray(0, maxDeadLetterBytes);
  const cut = (record.value?.length ?? 0) - (value?.length ?? 0);
  const error = cut > 0 ? `${message}; the last ${cut} bytes are cut off` : message;
  return {
    key: record.key,
    value,
    headers: { ...record.headers, [headers.dlqReason]: 'not_appendable', [headers.dlqError]: error },
    timestampMs: record.timestampMs,
  };
}
