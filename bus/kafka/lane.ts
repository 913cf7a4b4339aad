/**
 * A lane: one idempotent producer with exactly one `send` under way. Two at once on one producer lose acknowledged
 * records when an answer is lost (`docs/adr/0006`). The lane is the layer that retries: it sends the same batch until it
 * is durable, before anything newer, so that order within a partition is the order of the calls.
 */
import type { Clock } from '../../core/clock.ts';
import { messageOf, RecordsRefusedError, SluiceError } from '../../core/errors.ts';
import type { Logger } from '../../core/log.ts';
import type { NewRecord } from '../port.ts';
import { isRefusal, isTopicMissing, topicMissing } from './errors.ts';

/** What a lane needs of a producer. A new one has a new producer id: the broker knows nothing of the old one's sequence. */
export interface LaneProducer {
  send(topic: string, records: readonly PlacedRecord[]): Promise<void>;
  disconnect(): Promise<void>;
}

/** A record whose partition is known. */
export type PlacedRecord = NewRecord & { readonly partition: number };

export interface LaneOptions {
  /** Connects a fresh producer; rejects when no broker answers. */
  readonly connect: () => Promise<LaneProducer>;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Of one request and partition: the client groups in quadratic time beyond, and brokers refuse larger batches. */
const maxPartitionRecords = 1000;
const maxPartitionBytes = 512 * 1024;
/** Room for keys, headers and framing of one record. */
const recordOverheadBytes = 256;
/** Records waiting in one lane; at the bound an append is rejected with BUS_UNAVAILABLE. */
const maxQueuedRecords = 200_000;
const firstPauseMs = 100;
const longestPauseMs = 3000;

interface Append {
  readonly topic: string;
  readonly records: readonly PlacedRecord[];
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

export class Lane {
  readonly #options: LaneOptions;
  #producer: LaneProducer | null = null;
  #queue: Append[] = [];
  #queuedRecords = 0;
  #isRunning = false;
  readonly #closing = new AbortController();

  constructor(options: LaneOptions) {
    this.#options = options;
  }

  append(topic: string, records: readonly PlacedRecord[]): Promise<void> {
    if (this.#closing.signal.aborted) return Promise.reject(closed());
    if (this.#queuedRecords + records.length > maxQueuedRecords) {
      const message = `${this.#queuedRecords} records wait for Kafka already`;
      return Promise.reject(new SluiceError('BUS_UNAVAILABLE', message));
    }
    return new Promise((resolve, reject) => {
      this.#queue.push({ topic, records, resolve, reject });
      this.#queuedRecords += records.length;
      if (!this.#isRunning) void this.#run();
    });
  }

  /** Lets the request under way end; what waits behind it is rejected. */
  async close(): Promise<void> {
    this.#closing.abort();
    for (const { reject } of this.#queue.splice(0)) reject(closed());
    await this.#replaceProducer();
  }

  async #run(): Promise<void> {
    this.#isRunning = true;
    for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) {
      const { topic, records, resolve, reject } = next;
      try {
        const refused = await this.#sendAll(topic, records);
        if (refused.length > 0) reject(new RecordsRefusedError(topic, refused));
        else resolve();
      } catch (error) {
        reject(
          error instanceof SluiceError ? error : new SluiceError('BUS_UNAVAILABLE', messageOf(error), { cause: error }),
        );
      }
      this.#queuedRecords -= records.length;
    }
    this.#isRunning = false;
  }

  async #sendAll(topic: string, records: readonly PlacedRecord[]): Promise<{ index: number; message: string }[]> {
    const refused: { index: number; message: string }[] = [];
    for (const { from, to } of chunksOf(records)) {
      refused.push(...(await this.#sendOrNarrow(topic, records, from, to)));
    }
    return refused;
  }

  /** Halves what is refused until the refused records stand alone. */
  async #sendOrNarrow(
    topic: string,
    records: readonly PlacedRecord[],
    from: number,
    to: number,
  ): Promise<{ index: number; message: string }[]> {
    const refusal = await this.#sendUntilDurable(topic, records.slice(from, to));
    if (refusal === null) return [];
    if (to - from === 1) return [{ index: from, message: refusal }];
    const middle = from + Math.ceil((to - from) / 2);
    const first = await this.#sendOrNarrow(topic, records, from, middle);
    return [...first, ...(await this.#sendOrNarrow(topic, records, middle, to))];
  }

  /** `null` when durable, else why the broker refuses the batch for good. */
  async #sendUntilDurable(topic: string, records: readonly PlacedRecord[]): Promise<string | null> {
    const { clock, log, connect } = this.#options;
    for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(pauseMs * 2, longestPauseMs)) {
      try {
        this.#producer ??= await connect();
        await this.#producer.send(topic, records);
        return null;
      } catch (error) {
        // Other partitions of the request may have been taken, and the client has not counted them: with the same
        // producer id their next records would be taken for repetitions. So the producer goes, whatever the error was.
        await this.#replaceProducer();
        if (isRefusal(error)) return messageOf(error);
        if (isTopicMissing(error)) throw topicMissing(topic);
        log.warn({ topic, records: records.length, error: messageOf(error) }, 'Kafka takes no records; trying again');
      }
      if (!this.#closing.signal.aborted) await clock.sleep(pauseMs, this.#closing.signal);
      if (this.#closing.signal.aborted) throw closed();
    }
  }

  async #replaceProducer(): Promise<void> {
    const producer = this.#producer;
    this.#producer = null;
    await producer?.disconnect().catch(() => {});
  }
}

/** Runs of records that fit into one request each. */
function chunksOf(records: readonly PlacedRecord[]): { from: number; to: number }[] {
  const chunks: { from: number; to: number }[] = [];
  let from = 0;
  let counts = new Map<number, { records: number; bytes: number }>();
  for (let i = 0; i < records.length; i++) {
    const { partition, value } = records[i]!;
    const bytes = (value?.length ?? 0) + recordOverheadBytes;
    let used = counts.get(partition);
    if (used !== undefined && (used.records >= maxPartitionRecords || used.bytes + bytes > maxPartitionBytes)) {
      chunks.push({ from, to: i });
      from = i;
      counts = new Map();
      used = undefined;
    }
    if (used === undefined) counts.set(partition, { records: 1, bytes });
    else {
      used.records++;
      used.bytes += bytes;
    }
  }
  if (from < records.length) chunks.push({ from, to: records.length });
  return chunks;
}

function closed(): SluiceError {
  return new SluiceError('BUS_UNAVAILABLE', 'the bus is closed');
}
