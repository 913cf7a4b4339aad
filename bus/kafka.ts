/** The event bus on Kafka: the contract of `bus/port.ts`, through kafkajs. What it keeps from us is in `docs/adr/0006`. */
import { randomUUID } from 'node:crypto';
import type { Admin, Consumer, KafkaConfig } from 'kafkajs';
import type { Clock } from '../core/clock.ts';
import { endsWithin, within } from '../core/deadline.ts';
import { isSluiceError, messageOf, RecordsRefusedError, SluiceError } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';
import { partitionOf } from '../core/partition.ts';
import type { TopicSpec } from '../core/topics.ts';
import { sizeOf } from './kafka/chunks.ts';
import { Kafka, logLevel } from './kafka/client.ts';
import { KafkaConsumption } from './kafka/consumption.ts';
import { busClosed, isCoordinatorBusy, isTopicMissing, topicMissing, unavailable } from './kafka/errors.ts';
import { Lane } from './kafka/lane.ts';
import { openMember } from './kafka/member.ts';
import { connectProducer } from './kafka/producer.ts';
import { TopicFollower, TopicReader } from './kafka/reader.ts';
import { type OutgoingMessage, outgoing } from './kafka/records.ts';
import { createServedTopics } from './kafka/topics.ts';
import type {
  BatchHandler,
  Bus,
  BusRecord,
  Committed,
  ConsumeOptions,
  Consumption,
  Following,
  Lag,
  NewRecord,
} from './port.ts';

export interface KafkaBusOptions {
  readonly brokers: readonly string[];
  readonly clientId: string;
  readonly ssl: boolean;
  readonly sasl: {
    readonly mechanism: 'plain' | 'scram-sha-256' | 'scram-sha-512';
    readonly username: string;
    readonly password: string;
  } | null;
  readonly lanes: number;
  /** Of topics that are created; `null` = three, or as many as there are brokers. */
  readonly replicationFactor: number | null;
  readonly startTimeoutMs: number;
  /** How long an answer may take before its connection is given up; 30 s when not given. */
  readonly requestTimeoutMs?: number;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Always given: the client has other defaults when NODE_ENV is `test`. Longer outages are waited out by our own layers. */
const retry = { initialRetryTime: 100, maxRetryTime: 2000, multiplier: 2, factor: 0.2, retries: 6 };
const defaultRequestTimeoutMs = 30_000;
const readerSessionMs = 30_000;
const topicGraceMs = 2_000;
/** The broker answers when it has so much, or after so long: a batch costs a group far more than a record of it does. */
const gatherBytes = 64 * 1024;
const gatherMs = 100;
/** A record or batch that is larger comes nevertheless, alone. */
const fetchPartitionBytes = 256 * 1024;
const connectedWithinMs = 10_000;
const coordinatorWithinMs = 10_000;
const coordinatorPauseMs = 200;
/** The client waits for the answers it is owed: from a broker that hangs they come late or never. */
const disconnectedWithinMs = 3000;

export class KafkaBus implements Bus {
  readonly kind = 'kafka';
  readonly lanes: number;
  readonly #options: KafkaBusOptions;
  readonly #kafka: InstanceType<typeof Kafka>;
  #admin: Admin;
  readonly #lanes: readonly Lane[];
  readonly #partitionCounts = new Map<string, Promise<number>>();
  readonly #readers = new Map<string, TopicReader>();
  readonly #consumptions = new Set<KafkaConsumption>();
  readonly #followers = new Set<TopicFollower>();
  /** Groups that exist only to read back; deleted at the end. */
  readonly #readerGroups: string[] = [];
  #started: Promise<void> | null = null;
  #closed: Promise<void> | null = null;

  constructor(options: KafkaBusOptions) {
    const { clock, log } = options;
    this.#options = options;
    this.lanes = options.lanes;
    this.#kafka = new Kafka(clientConfig(options));
    this.#admin = this.#kafka.admin({ retry });
    this.#lanes = Array.from(
      { length: options.lanes },
      () => new Lane({ connect: () => connectProducer(this.#kafka), clock, log }),
    );
  }

  start(): Promise<void> {
    this.#started ??= this.#connect();
    return this.#started;
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async ping(): Promise<void> {
    if (this.#closed !== null) throw busClosed();
    await this.#asking('no broker answers', () => this.#admin.describeCluster());
  }

  async createTopics(specs: readonly TopicSpec[]): Promise<string[]> {
    const existing = new Set(await this.#asking('topics cannot be listed', () => this.#admin.listTopics()));
    const missing = specs.filter(({ name }) => !existing.has(name));
    if (missing.length > 0) {
      const replicationFactor = this.#options.replicationFactor ?? Math.min(3, await this.#brokerCount());
      await this.#asking('topics cannot be created', () =>
        createServedTopics(this.#admin, missing, replicationFactor, this.#options.clock),
      );
      for (const { name } of missing) this.#partitionCounts.delete(name);
    }
    for (const { name, partitions } of specs) {
      const found = await this.partitionCount(name);
      if (found !== partitions) {
        throw new SluiceError(
          'CONFIG_INVALID',
          `topic ${name} has ${found} partitions, not ${partitions}: set topics.partitions to ${found}, or use another topics.prefix`,
        );
      }
    }
    return missing.map(({ name }) => name);
  }

  partitionCount(topic: string): Promise<number> {
    let count = this.#partitionCounts.get(topic);
    if (count === undefined) {
      count = this.#fetchPartitionCount(topic);
      this.#partitionCounts.set(topic, count);
      count.catch(() => this.#partitionCounts.delete(topic));
    }
    return count;
  }

  async append(topic: string, records: readonly NewRecord[]): Promise<void> {
    if (records.length === 0) return;
    if (this.#closed !== null) throw busClosed();
    const partitions = await this.partitionCount(topic);
    const shares = this.#lanes.map((): { messages: OutgoingMessage[]; bytes: number } => ({ messages: [], bytes: 0 }));
    const messages = records.map((each) => outgoing(each, each.partition ?? partitionOf(each.key, partitions)));
    for (const message of messages) {
      if (message.partition < 0 || message.partition >= partitions) {
        throw new RangeError(`partition ${message.partition} of a topic that has ${partitions}`);
      }
      const share = shares[message.partition % this.lanes]!;
      share.messages.push(message);
      share.bytes += sizeOf(message);
    }
    // Also when one lane gives up, the caller learns it only when nothing of its append is under way any more.
    const results = await Promise.allSettled(
      shares.map((share, lane) =>
        share.messages.length === 0 ? [] : this.#lanes[lane]!.append(topic, share.messages, share.bytes),
      ),
    );
    const refused: { index: number; message: string }[] = [];
    for (const result of results) {
      if (result.status === 'rejected') throw result.reason;
      for (const { message, reason } of result.value) {
        refused.push({ index: messages.indexOf(message), message: reason });
      }
    }
    if (refused.length > 0) throw new RecordsRefusedError(topic, refused);
  }

  async consume(topic: string, group: string, handler: BatchHandler, options: ConsumeOptions): Promise<Consumption> {
    await this.partitionCount(topic);
    const { clock, log } = this.#options;
    const consumer = this.#consumer(topic, group, options.sessionTimeoutMs, gatherBytes);
    const consumption = new KafkaConsumption({
      topic,
      group,
      handler,
      options,
      consumer,
      admin: this.#admin,
      clock,
      log,
    });
    this.#consumptions.add(consumption);
    try {
      await this.#asking('the group cannot be joined', () => consumption.start());
      return consumption;
    } catch (error) {
      this.#consumptions.delete(consumption);
      void consumption.close().catch(() => {});
      throw error;
    }
  }

  async read(topic: string, partition: number, fromOffset: number, maxRecords: number) {
    await this.partitionCount(topic);
    let reader = this.#readers.get(topic);
    if (reader === undefined) {
      reader = new TopicReader(topic, this.#readerConsumer(topic), this.#admin);
      this.#readers.set(topic, reader);
    }
    try {
      return await reader.read(partition, fromOffset, maxRecords);
    } catch (error) {
      if (this.#readers.get(topic) === reader) this.#readers.delete(topic);
      void reader.close().catch(() => {});
      throw error instanceof SluiceError ? error : unavailable('reading failed', error);
    }
  }

  async follow(
    topic: string,
    from: 'beginning' | 'end',
    onRecords: (records: readonly BusRecord[]) => void,
  ): Promise<Following> {
    await this.partitionCount(topic);
    const follower = new TopicFollower(topic, this.#readerConsumer(topic), onRecords);
    this.#followers.add(follower);
    try {
      await this.#asking('following failed', () => follower.start(from, this.#admin));
    } catch (error) {
      this.#followers.delete(follower);
      void follower.close().catch(() => {});
      throw error;
    }
    return {
      close: async () => {
        if (this.#followers.delete(follower)) await follower.close();
      },
    };
  }

  async lag(topic: string, group: string): Promise<Lag> {
    await this.partitionCount(topic);
    const [ends, committed] = await this.#asking('the lag cannot be read', () =>
      Promise.all([this.#admin.fetchTopicOffsets(topic), this.committed(topic, group)]),
    );
    let records = 0;
    let oldestMs = Number.POSITIVE_INFINITY;
    for (const { partition, low, high } of ends) {
      const next = Math.max(committed[partition]?.offset ?? 0, Number(low));
      if (next >= Number(high)) continue;
      records += Number(high) - next;
      const [first] = (await this.read(topic, partition, next, 1)).records;
      if (first !== undefined) oldestMs = Math.min(oldestMs, first.timestampMs);
    }
    const seconds = records === 0 ? 0 : Math.max(0, this.#options.clock.nowMs() - oldestMs) / 1000;
    return { records, seconds: Number.isFinite(seconds) ? seconds : 0 };
  }

  async committed(topic: string, group: string): Promise<readonly (Committed | null)[]> {
    const count = await this.partitionCount(topic);
    const [found] = await this.#asking('the commits cannot be read', () => this.#fetchOffsets(topic, group));
    const committed: (Committed | null)[] = Array.from({ length: count }, () => null);
    for (const { partition, offset, metadata } of found?.partitions ?? []) {
      if (Number(offset) >= 0) committed[partition] = { offset: Number(offset), metadata: metadata ?? '' };
    }
    return committed;
  }

  async offsetAt(topic: string, partition: number, timestampMs: number): Promise<number> {
    await this.partitionCount(topic);
    const found = await this.#asking('offsets cannot be found by time', () =>
      // Negative times are questions of another kind.
      this.#admin.fetchTopicOffsetsByTimestamp(topic, Math.max(0, timestampMs)),
    );
    const offset = found.find((each) => each.partition === partition)?.offset;
    if (offset === undefined) throw new RangeError(`${topic} has no partition ${partition}`);
    return Number(offset);
  }

  async #fetchOffsets(topic: string, group: string) {
    const { clock } = this.#options;
    for (const untilMs = clock.nowMs() + coordinatorWithinMs; ; ) {
      try {
        return await this.#admin.fetchOffsets({ groupId: group, topics: [topic] });
      } catch (error) {
        if (!isCoordinatorBusy(error) || clock.nowMs() >= untilMs) throw error;
        await clock.sleep(coordinatorPauseMs);
      }
    }
  }

  async #connect(): Promise<void> {
    const { clock, startTimeoutMs, brokers, log } = this.#options;
    const untilMs = clock.nowMs() + startTimeoutMs;
    for (;;) {
      try {
        await this.#tryToConnect();
        return;
      } catch (error) {
        if (this.#closed !== null) throw busClosed();
        if (clock.nowMs() >= untilMs) {
          this.#started = null;
          throw unavailable(`no broker of ${brokers.join(', ')} answered within ${startTimeoutMs} ms`, error);
        }
        log.warn({ brokers, error: messageOf(error) }, 'waiting for Kafka');
        await clock.sleep(500);
      }
    }
  }

  /** A client that could not connect is not used again: it may take itself for connected, and never is. */
  async #tryToConnect(): Promise<void> {
    const admin = this.#admin;
    const connected = admin.connect().then(() => admin.describeCluster());
    const tooLate = new Error(`no answer within ${connectedWithinMs} ms`);
    try {
      await within(this.#options.clock, connectedWithinMs, connected, tooLate);
    } catch (error) {
      admin.disconnect().catch(() => {});
      this.#admin = this.#kafka.admin({ retry });
      throw error;
    }
  }

  async #close(): Promise<void> {
    await Promise.all([...this.#consumptions].map((consumption) => consumption.close()));
    await Promise.all([...this.#readers.values(), ...this.#followers].map((reading) => reading.close()));
    await Promise.all(this.#lanes.map((lane) => lane.close()));
    // A group that was never joined is unknown to the broker: nothing to delete.
    if (this.#readerGroups.length > 0) await this.#admin.deleteGroups(this.#readerGroups).catch(() => {});
    await endsWithin(this.#options.clock, disconnectedWithinMs, this.#admin.disconnect());
  }

  #consumer(topic: string, groupId: string, sessionTimeoutMs: number, minBytes: number): Consumer {
    return openMember({
      kafka: this.#kafka,
      config: {
        groupId,
        sessionTimeout: sessionTimeoutMs,
        heartbeatInterval: Math.min(3000, sessionTimeoutMs / 6),
        rebalanceTimeout: Math.max(60_000, sessionTimeoutMs),
        maxWaitTimeInMs: gatherMs,
        // The client handles no batch of an answer before all of it is taken apart, and keeps it until all are handled.
        maxBytesPerPartition: fetchPartitionBytes,
        minBytes,
        allowAutoTopicCreation: false,
        retry,
      },
      mayComeBack: (error) => this.#mayComeBack(topic, error),
      clock: this.#options.clock,
    });
  }

  /** The client begins again after an error, unless the topic is gone: that ends the consumption. */
  async #mayComeBack(topic: string, error: Error): Promise<boolean> {
    if (!isTopicMissing(error)) return true;
    // Not every broker knows at once of a topic that was just made.
    await this.#options.clock.sleep(topicGraceMs);
    return this.#fetchPartitionCount(topic).then(
      () => true,
      (reason: unknown) => !isSluiceError(reason, 'BUS_TOPIC_MISSING'),
    );
  }

  #readerConsumer(topic: string): Consumer {
    const group = `sluice-reader-${randomUUID()}`;
    this.#readerGroups.push(group);
    return this.#consumer(topic, group, readerSessionMs, 1);
  }

  /** Who asks while the start goes on waits for it. */
  async #fetchPartitionCount(topic: string): Promise<number> {
    await this.#started;
    try {
      const { topics } = await this.#admin.fetchTopicMetadata({ topics: [topic] });
      return topics[0]!.partitions.length;
    } catch (error) {
      throw isTopicMissing(error) ? topicMissing(topic) : unavailable(`the metadata of ${topic} cannot be read`, error);
    }
  }

  async #brokerCount(): Promise<number> {
    return (await this.#asking('the cluster cannot be described', () => this.#admin.describeCluster())).brokers.length;
  }

  /** Runs a request; what the client throws becomes an error of ours. */
  async #asking<T>(what: string, request: () => Promise<T>): Promise<T> {
    try {
      return await request();
    } catch (error) {
      throw error instanceof SluiceError ? error : unavailable(what, error);
    }
  }
}

function clientConfig({ brokers, clientId, ssl, sasl, requestTimeoutMs, log }: KafkaBusOptions): KafkaConfig {
  return {
    brokers: [...brokers],
    clientId,
    ssl,
    ...(sasl === null ? {} : { sasl: sasl as NonNullable<KafkaConfig['sasl']> }),
    connectionTimeout: 3000,
    requestTimeout: requestTimeoutMs ?? defaultRequestTimeoutMs,
    retry,
    logLevel: logLevel.WARN,
    // Its errors reach us as rejections too, and are logged there with what they mean: here they are only detail.
    logCreator:
      () =>
      ({ namespace, log: { message } }) =>
        log.debug({ client: 'kafkajs', namespace }, message),
  };
}
