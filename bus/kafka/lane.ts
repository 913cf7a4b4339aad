/**
 * A lane: one idempotent producer with exactly one `send` under way. Two at once on one producer lose acknowledged
 * records when an answer is lost: both get the same sequence numbers, and the broker takes the later one for a
 * repetition. The lane is the only layer that retries: it sends the same batch until it is durable, before anything
 * newer, so that the order within a partition is the order of the calls.
 */
import type { Clock } from '../../core/clock.ts';
import { endsWithin } from '../../core/deadline.ts';
import { messageOf, SluiceError } from '../../core/errors.ts';
import type { Logger } from '../../core/log.ts';
import { chunksOf, halvesOf } from './chunks.ts';
import { busClosed, isProducerSpent, isRefusal, isTopicMissing, topicMissing } from './errors.ts';
import type { OutgoingMessage } from './records.ts';

/** What a lane needs of a producer: one attempt per `send`. A new one has a new producer id. */
export interface LaneProducer {
  send(topic: string, messages: readonly OutgoingMessage[]): Promise<void>;
  disconnect(): Promise<void>;
}

export interface LaneOptions {
  /** Connects a fresh producer; rejects when no broker answers. */
  readonly connect: () => Promise<LaneProducer>;
  readonly clock: Clock;
  readonly log: Logger;
}

/** A message that can never be appended, and what the broker said. */
export interface LaneRefusal {
  readonly message: OutgoingMessage;
  readonly reason: string;
}

/** What may wait in one lane; at the bound an append is rejected with BUS_UNAVAILABLE. */
export const maxQueuedMessages = 100_000;
export const maxQueuedBytes = 128 * 1024 * 1024;

const firstPauseMs = 50;
const longestPauseMs = 3000;
/** A broker may not have heard yet of a topic that was just made. */
const attemptsOfMissingTopic = 5;
/** A client that has got stuck is replaced: the batch may then be in the log twice, which `ingest.id` shows. */
const attemptsPerProducer = 30;
/** How long `close` waits for the request under way, and for the connection to end. */
const closeTimeoutMs = 3000;

interface Append {
  readonly topic: string;
  readonly messages: readonly OutgoingMessage[];
  readonly bytes: number;
  readonly resolve: (refusals: readonly LaneRefusal[]) => void;
  readonly reject: (error: Error) => void;
}

export class Lane {
  readonly #options: LaneOptions;
  readonly #closing = new AbortController();
  /** The first one is under way. */
  readonly #appends: Append[] = [];
  #queuedMessages = 0;
  #queuedBytes = 0;
  #producer: LaneProducer | null = null;
  #running: Promise<void> | null = null;

  constructor(options: LaneOptions) {
    this.#options = options;
  }

  /** Resolves when every message is durable but for those it returns. Rejects with BUS_UNAVAILABLE or BUS_TOPIC_MISSING. */
  append(topic: string, messages: readonly OutgoingMessage[], bytes: number): Promise<readonly LaneRefusal[]> {
    if (this.#closing.signal.aborted) return Promise.reject(busClosed());
    if (this.#isFull(messages.length, bytes)) {
      const waiting = `${this.#queuedMessages} records (${this.#queuedBytes} bytes) wait for Kafka already`;
      return Promise.reject(new SluiceError('BUS_UNAVAILABLE', `${waiting}: append more slowly`));
    }
    return new Promise((resolve, reject) => {
      this.#appends.push({ topic, messages, bytes, resolve, reject });
      this.#queuedMessages += messages.length;
      this.#queuedBytes += bytes;
      this.#running ??= this.#run();
    });
  }

  /** Gives the request under way a moment to end; what is not durable by then is rejected. */
  async close(): Promise<void> {
    this.#closing.abort();
    for (const { reject } of this.#appends.splice(1)) reject(busClosed());
    if (this.#running !== null) await endsWithin(this.#options.clock, closeTimeoutMs, this.#running);
    this.#appends.shift()?.reject(busClosed());
    await this.#dropProducer();
  }

  #isFull(messages: number, bytes: number): boolean {
    if (this.#appends.length === 0) return false;
    return this.#queuedMessages + messages > maxQueuedMessages || this.#queuedBytes + bytes > maxQueuedBytes;
  }

  async #run(): Promise<void> {
    for (let append = this.#appends[0]; append !== undefined; append = this.#appends[0]) {
      const { topic, messages, bytes, resolve, reject } = append;
      try {
        resolve(await this.#sendAll(topic, messages, bytes));
      } catch (error) {
        reject(error instanceof SluiceError ? error : new SluiceError('BUS_UNAVAILABLE', messageOf(error)));
      }
      this.#appends.shift();
      this.#queuedMessages -= messages.length;
      this.#queuedBytes -= bytes;
    }
    this.#running = null;
  }

  async #sendAll(topic: string, messages: readonly OutgoingMessage[], bytes: number): Promise<readonly LaneRefusal[]> {
    const refusals: LaneRefusal[] = [];
    for (const chunk of chunksOf(messages, bytes)) await this.#sendOrNarrow(topic, chunk, refusals);
    return refusals;
  }

  /**
   * Narrows a refusal down to the messages that cause it. The same producer sends the parts: a partition that was taken
   * beside the refused one is sent again whole, so that the broker knows it by its sequence numbers.
   */
  async #sendOrNarrow(topic: string, messages: readonly OutgoingMessage[], refusals: LaneRefusal[]): Promise<void> {
    const reason = await this.#sendUntilDurable(topic, messages);
    if (reason === null) return;
    if (messages.length === 1) refusals.push({ message: messages[0]!, reason });
    else for (const part of halvesOf(messages)) await this.#sendOrNarrow(topic, part, refusals);
  }

  /** `null` when durable, else why the broker refuses the batch for good. */
  async #sendUntilDurable(topic: string, messages: readonly OutgoingMessage[]): Promise<string | null> {
    const { clock, log, connect } = this.#options;
    const { signal } = this.#closing;
    let pauseMs = firstPauseMs;
    for (let attempt = 1; ; attempt++) {
      try {
        this.#producer ??= await connect();
        await this.#producer.send(topic, messages);
        return null;
      } catch (error) {
        if (isRefusal(error)) return messageOf(error);
        if (isTopicMissing(error) && attempt >= attemptsOfMissingTopic) {
          // Given up, though other partitions may have taken theirs: a later batch must not get their sequence numbers.
          await this.#dropProducer();
          throw topicMissing(topic);
        }
        if (isProducerSpent(error) || attempt % attemptsPerProducer === 0) await this.#dropProducer();
        log.warn({ topic, records: messages.length, error: messageOf(error) }, 'not appended to Kafka, trying again');
      }
      await clock.sleep(pauseMs, signal);
      if (signal.aborted) throw busClosed();
      pauseMs = Math.min(pauseMs * 2, longestPauseMs);
    }
  }

  async #dropProducer(): Promise<void> {
    const producer = this.#producer;
    this.#producer = null;
    // The client waits for the answers it is owed: from a broker that hangs they come late or never.
    const disconnected = producer?.disconnect().catch(() => {});
    if (disconnected !== undefined) await endsWithin(this.#options.clock, closeTimeoutMs, disconnected);
  }
}
