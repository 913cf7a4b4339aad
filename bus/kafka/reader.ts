/**
 * Reading back, outside any group of the pipeline. The client reads only as a member of a group, so each topic that is
 * read has one reader in a group of its own, whose partitions are paused but for the one being read.
 */
import type { Admin, Consumer, EachBatchPayload } from 'kafkajs';
import type { BusRecord } from '../port.ts';
import { busClosed } from './errors.ts';
import { recordOf } from './records.ts';

interface Request {
  readonly partition: number;
  readonly untilOffset: number;
  readonly maxRecords: number;
  readonly records: BusRecord[];
  /** Offset to go on from. */
  next: number;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/** After a rejection it is of no more use: close it, and make another. */
export class TopicReader {
  readonly #topic: string;
  readonly #consumer: Consumer;
  readonly #admin: Admin;
  #started: Promise<void> | null = null;
  /** Reads of one topic take turns. */
  #turn: Promise<unknown> = Promise.resolve();
  #request: Request | null = null;
  #isClosed = false;

  constructor(topic: string, consumer: Consumer, admin: Admin) {
    this.#topic = topic;
    this.#consumer = consumer;
    this.#admin = admin;
  }

  read(
    partition: number,
    fromOffset: number,
    maxRecords: number,
  ): Promise<{ records: BusRecord[]; endOffset: number }> {
    const read = this.#turn.then(() => this.#read(partition, fromOffset, maxRecords));
    this.#turn = read.catch(() => {});
    return read;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#request?.reject(busClosed());
    await this.#started?.catch(() => {});
    await this.#consumer.disconnect();
  }

  async #read(partition: number, fromOffset: number, maxRecords: number) {
    if (this.#isClosed) throw busClosed();
    const { low, high } = await this.#range(partition);
    const from = Math.max(fromOffset, low);
    if (maxRecords === 0 || from >= high) return { records: [], endOffset: high };
    this.#started ??= this.#start();
    await this.#started;
    if (this.#isClosed) throw busClosed();
    const records: BusRecord[] = [];
    try {
      await new Promise<void>((resolve, reject) => {
        this.#request = { partition, untilOffset: high, maxRecords, records, next: from, resolve, reject };
        this.#ask(this.#request);
      });
    } finally {
      this.#request = null;
    }
    return { records, endOffset: high };
  }

  #ask({ partition, next }: Request): void {
    try {
      this.#consumer.seek({ topic: this.#topic, partition, offset: String(next) });
      this.#consumer.resume([{ topic: this.#topic, partitions: [partition] }]);
    } catch {
      // The client has just lost its membership and knows no partitions: asked again at the next join.
    }
  }

  async #range(partition: number): Promise<{ low: number; high: number }> {
    const offsets = await this.#admin.fetchTopicOffsets(this.#topic);
    const found = offsets.find((each) => each.partition === partition);
    if (found === undefined) throw new Error(`${this.#topic} has no partition ${partition}`);
    return { low: Number(found.low), high: Number(found.high) };
  }

  async #start(): Promise<void> {
    this.#consumer.on('consumer.group_join', ({ payload }) => {
      const partitions = payload.memberAssignment[this.#topic] ?? [];
      const paused = partitions.filter((partition) => partition !== this.#request?.partition);
      this.#consumer.pause([{ topic: this.#topic, partitions: paused }]);
      // A join rewinds every partition.
      if (this.#request !== null) this.#ask(this.#request);
    });
    this.#consumer.on('consumer.crash', ({ payload }) => {
      if (!payload.restart) this.#request?.reject(payload.error);
    });
    await this.#consumer.connect();
    await this.#consumer.subscribe({ topics: [this.#topic], fromBeginning: true });
    await this.#consumer.run({
      autoCommit: false,
      eachBatchAutoResolve: false,
      eachBatch: async (payload) => this.#collect(payload),
    });
  }

  #collect({ batch, resolveOffset, isStale }: EachBatchPayload): void {
    const request = this.#request;
    if (request === null || isStale() || batch.partition !== request.partition) return;
    for (const message of batch.messages) {
      if (request.records.length >= request.maxRecords) break;
      request.records.push(recordOf(message, batch.partition));
      resolveOffset(message.offset);
      request.next = Number(message.offset) + 1;
    }
    const lastOffset = Number(batch.lastOffset());
    if (request.records.length < request.maxRecords && lastOffset + 1 < request.untilOffset) return;
    this.#consumer.pause([{ topic: this.#topic, partitions: [batch.partition] }]);
    request.resolve();
  }
}

/** Follows a topic from its beginning or its end; `caughtUp` resolves when all that was there at the start was given. */
export class TopicFollower {
  readonly #topic: string;
  readonly #consumer: Consumer;
  readonly #onRecords: (records: readonly BusRecord[]) => void;
  /** Partition → offset that was its end at the start, of those that have not got there. */
  readonly #missing = new Map<number, number>();
  readonly #caughtUp = Promise.withResolvers<void>();

  constructor(topic: string, consumer: Consumer, onRecords: (records: readonly BusRecord[]) => void) {
    this.#topic = topic;
    this.#consumer = consumer;
    this.#onRecords = onRecords;
  }

  async start(from: 'beginning' | 'end', admin: Admin): Promise<void> {
    const offsets = await admin.fetchTopicOffsets(this.#topic);
    if (from === 'beginning') {
      for (const { partition, low, high } of offsets) {
        if (Number(high) > Number(low)) this.#missing.set(partition, Number(high));
      }
    }
    this.#checkCaughtUp();
    // Without commits every join starts again: each partition goes on where it was.
    const next = new Map(offsets.map(({ partition, low, high }) => [partition, from === 'end' ? high : low]));
    this.#consumer.on('consumer.group_join', () => {
      for (const [partition, offset] of next) this.#consumer.seek({ topic: this.#topic, partition, offset });
    });
    this.#consumer.on('consumer.crash', ({ payload }) => {
      if (!payload.restart) this.#caughtUp.reject(payload.error);
    });
    await this.#consumer.connect();
    await this.#consumer.subscribe({ topics: [this.#topic], fromBeginning: true });
    await this.#consumer.run({
      autoCommit: false,
      eachBatchAutoResolve: false,
      eachBatch: async ({ batch, resolveOffset, isStale }) => {
        if (isStale()) return;
        this.#onRecords(batch.messages.map((message) => recordOf(message, batch.partition)));
        resolveOffset(batch.lastOffset());
        next.set(batch.partition, String(Number(batch.lastOffset()) + 1));
        this.#arrived(batch.partition, Number(batch.lastOffset()) + 1);
      },
    });
    await this.#caughtUp.promise;
  }

  close(): Promise<void> {
    this.#caughtUp.resolve();
    return this.#consumer.disconnect();
  }

  #arrived(partition: number, offset: number): void {
    const end = this.#missing.get(partition);
    if (end !== undefined && offset >= end) {
      this.#missing.delete(partition);
      this.#checkCaughtUp();
    }
  }

  #checkCaughtUp(): void {
    if (this.#missing.size === 0) this.#caughtUp.resolve();
  }
}
