/**
 * Hold → append → acknowledge. From the moment a message is taken it is ours: it is appended though its client leaves,
 * and its acknowledgement is released when the bus has it durably, in the order of its client's messages.
 */
import type { Bus, NewRecord } from '../../bus/port.ts';
import type { Clock } from '../../core/clock.ts';
import { endsWithin } from '../../core/deadline.ts';
import { messageOf, RecordsRefusedError } from '../../core/errors.ts';
import { count, emptyGatewayLedger, type GatewayLedger } from '../../core/ledger.ts';
import type { Logger } from '../../core/log.ts';
import type { TopicNames } from '../../core/topics.ts';
import type { GatewayOptions } from '../options.ts';
import { Detour } from '../spool/detour.ts';
import type { Spool } from '../spool/spool.ts';
import { AckTimes } from './ack-times.ts';
import type { Ack, AckQueue, Release } from './acks.ts';
import { Caps } from './caps.ts';
import { notAppendable } from './dead-letter.ts';
import { type Appended, Lane, type Refused } from './lane.ts';
import { type Place, type Publish, RecordMaker, tick } from './records.ts';
import { type Batch, turnOf } from './turns.ts';

/** Messages held for so long say that the bus stalls, also when it has not said so. */
const stalledAfterMs = 2000;
const nothing = () => {};

export interface IngestContext {
  readonly bus: Bus;
  readonly topics: TopicNames;
  /** Unique per run. */
  readonly instance: string;
  /** Of the raw topic. */
  readonly partitions: number;
  /** Where messages go while the bus stalls; `null` = they are held. */
  readonly spool: Spool | null;
  readonly options: GatewayOptions;
  readonly clock: Clock;
  readonly log: Logger;
}

export class Ingest {
  readonly ledger: GatewayLedger = emptyGatewayLedger();
  readonly caps: Caps;
  readonly ackTimes = new AckTimes();
  /** When something was last appended to each partition; the start for one that was given nothing. */
  readonly lastAppendMs: Float64Array;
  readonly #context: IngestContext;
  readonly #records: RecordMaker;
  readonly #lanes: Lane[];
  /** Of each lane; none without a spool. */
  readonly #detours: Detour[] = [];
  readonly #givingUp = new AbortController();
  #newestMs = 0;

  constructor(context: IngestContext) {
    const { bus, instance, partitions, spool, options, clock, log } = context;
    this.#context = context;
    this.caps = new Caps(options, this.ledger);
    this.lastAppendMs = new Float64Array(partitions).fill(this.nowMs());
    this.#records = new RecordMaker(instance, partitions);
    const way = {
      options,
      clock,
      log,
      givingUp: this.#givingUp.signal,
      append: (records: readonly NewRecord[]) => this.#append(records),
      deadLetter: (records: readonly NewRecord[], refused: readonly Refused[]) => this.#deadLetter(records, refused),
    };
    if (spool !== null) {
      const onDrained = (messages: number, refused: number) => this.#onDrained(messages, refused);
      const all = [...this.lastAppendMs.keys()];
      this.#detours = Array.from({ length: bus.lanes }, (_, lane) => {
        return new Detour({ ...way, spool, partitions: all.filter((p) => p % bus.lanes === lane), onDrained });
      });
      this.ledger.inherited = this.ledger.spooled = spool.count(all);
    }
    this.#lanes = Array.from({ length: bus.lanes }, (_, lane) => {
      const append = this.#detours[lane]?.append.bind(this.#detours[lane]) ?? way.append;
      const onDurable = (batch: Batch, appended: Appended) => this.#onDurable(batch, appended);
      const number = (record: NewRecord) => this.#records.number(record);
      return new Lane({ ...way, append, number, onDurable });
    });
  }

  /** Drains what an earlier run left in the spool. */
  start(): void {
    for (const detour of this.#detours) detour.start();
  }

  /** Never goes back: the timestamps within a partition do so only as far as turns change the order. */
  nowMs(): number {
    this.#newestMs = Math.max(this.#newestMs, this.#context.clock.nowMs());
    return this.#newestMs;
  }

  placeOf(topic: string, clientId: string): Place {
    return this.#records.placeOf(topic, clientId);
  }

  /** Takes a message. `release` is called exactly once: at once for QoS 0, else when it is durable. */
  take(place: Place, publish: Publish, clientId: string, acks: AckQueue, release: Release): Ack | null {
    this.ledger.received++;
    if (publish.qos === 0 && this.caps.isFull) {
      count(this.ledger.dropped, 'qos0_over_cap');
      release(null);
      return null;
    }
    const nowMs = this.nowMs();
    const bytes = publish.payload.length;
    const ack = acks.add(bytes, nowMs, publish.qos === 0 ? nothing : release);
    this.ledger.held++;
    this.caps.heldBytes += bytes;
    this.#push(this.#records.message(place, publish, clientId, nowMs), ack, turnOf(nowMs, acks, place));
    if (publish.qos === 0) release(null);
    return ack;
  }

  /** Appends a tick in its place among the messages of the partition. */
  tick(partition: number): void {
    const nowMs = this.nowMs();
    this.#push(tick(partition, nowMs), null, nowMs);
  }

  get spool(): Spool | null {
    return this.#context.spool;
  }

  /** Whether messages of the partition may wait in the spool. */
  isSpooling(partition: number): boolean {
    return this.#detours[partition % this.#lanes.length]?.isSpooling ?? false;
  }

  /** What is wrong with the bus, in words. */
  problems(): string[] {
    const problem = this.#lanes.find((lane) => lane.problem !== null)?.problem;
    if (problem !== undefined) return [`bus: ${problem}`];
    const nowMs = this.nowMs();
    const heldForMs = nowMs - Math.min(...this.#lanes.map((lane) => lane.oldestMs ?? nowMs));
    return heldForMs > stalledAfterMs ? [`bus: nothing became durable for ${Math.round(heldForMs / 1000)} s`] : [];
  }

  /**
   * Appends what is held without waiting for more; resolves when all is durable, at the latest after `deadlineMs`. What
   * the bus has not taken in half of the time goes to the spool.
   */
  async drain(deadlineMs: number): Promise<void> {
    const { clock } = this.#context;
    const drained = Promise.all(this.#lanes.map((lane) => lane.drain()));
    if (this.#detours.length > 0 && !(await endsWithin(clock, deadlineMs / 2, drained))) {
      for (const [lane, { oldestMs }] of this.#lanes.entries()) if (oldestMs !== null) this.#detours[lane]!.hurry();
    }
    await endsWithin(clock, deadlineMs, drained);
  }

  /** No append is tried again: what is not durable now is never acknowledged. What is in the spool stays there. */
  async close(): Promise<void> {
    this.#givingUp.abort();
    await this.#context.spool?.close();
  }

  async #append(records: readonly NewRecord[]): Promise<Appended> {
    const { bus, topics } = this.#context;
    try {
      await bus.append(topics.raw, records);
      return { where: 'bus', refused: [] };
    } catch (error) {
      if (error instanceof RecordsRefusedError) return { where: 'bus', refused: error.refused };
      throw error;
    }
  }

  #push(record: NewRecord, ack: Ack | null, turnMs: number): void {
    this.#lanes[record.partition! % this.#lanes.length]!.push(record, ack, turnMs);
  }

  /** A refused message is acknowledged once it is in the DLQ: its device would send it again for ever. */
  async #deadLetter(records: readonly NewRecord[], refused: readonly Refused[]): Promise<void> {
    const { bus, topics, log } = this.#context;
    const letters = refused.map(({ index, message }) => notAppendable(records[index]!, topics.raw, message));
    try {
      await bus.append(topics.dlq, letters);
    } catch (error) {
      if (!(error instanceof RecordsRefusedError)) throw error;
      log.error({ error: messageOf(error) }, 'the DLQ refuses what the bus refused: these messages are lost');
    }
  }

  #onDurable({ records, acks }: Batch, { where, refused }: Appended): void {
    const nowMs = this.nowMs();
    let messages = 0;
    for (const [i, ack] of acks.entries()) {
      this.lastAppendMs[records[i]!.partition!] = nowMs;
      if (ack === null) continue;
      messages++;
      this.caps.heldBytes -= ack.bytes;
      this.ackTimes.add(nowMs - ack.takenAtMs, nowMs);
    }
    this.ledger.held -= messages;
    if (where === 'spool') this.ledger.spooled += messages;
    else this.#onAppended(messages, refused.filter(({ index }) => acks[index] !== null).length);
    // All in one tick: the broker then writes the acknowledgements of a client at once.
    for (const ack of acks) ack?.settle();
    this.caps.resume();
  }

  #onAppended(messages: number, refused: number): void {
    if (refused > 0) count(this.ledger.dropped, 'not_appendable', refused);
    this.ledger.appended += messages - refused;
  }

  #onDrained(messages: number, refused: number): void {
    this.ledger.spooled -= messages;
    this.#onAppended(messages, refused);
  }
}
