/**
 * Takes commands to the devices that are connected here: sends what is pending for a device that subscribed, in order, the
 * next when the one before has its end. Every gateway has one and reads the whole topic; what a device acknowledges it
 * tells the others there. A command is sent again to who subscribes anew, and never after its time.
 */
import type { BusRecord, NewRecord } from '../../bus/port.ts';
import type { Clock } from '../../core/clock.ts';
import { deviceKey } from '../../core/reading.ts';
import { deviceOf } from '../identity/to-device.ts';
import type { Delivery, Subscriber, Subscribers } from '../subscribers.ts';
import { type Command, entryOf, outcomeRecord } from './entries.ts';
import { PendingCommands } from './pending.ts';

const sweepEveryMs = 250;
/** A PUBACK that is on its way when the time is over still counts. */
const graceMs = 500;

export interface CourierContext {
  /** Unique per run of the gateway. */
  readonly instance: string;
  readonly subscribers: Subscribers;
  /** Says it on the commands topic. */
  readonly say: (outcome: NewRecord) => void;
  readonly clock: Clock;
}

/** What one device was sent and has not acknowledged. */
interface Sending {
  readonly command: Command;
  /** Deliveries that may still be acknowledged. */
  open: number;
  /** It was said that its time is over. */
  isOver: boolean;
}

export class Courier {
  /** Times that a command was sent. */
  sent = 0;
  readonly #context: CourierContext;
  /** By partition number. */
  readonly #partitions = new Map<number, PendingCommands>();
  /** By `site/device`. */
  readonly #sending = new Map<string, Sending>();
  /** Acknowledged, and not read back from the topic yet. */
  readonly #acknowledged = new WeakSet<Command>();
  #state: 'reading' | 'sending' | 'stopped' = 'reading';
  #stopSweep: () => void = () => {};

  constructor(context: CourierContext) {
    this.#context = context;
  }

  /** Not before all that is on the topic was read: it may say that a command has its end. */
  start(): void {
    const { subscribers, clock } = this.#context;
    if (this.#state !== 'reading') return;
    this.#state = 'sending';
    subscribers.onAdded((topic, subscriber) => this.#onSubscribed(topic, subscriber));
    this.#stopSweep = clock.every(sweepEveryMs, () => this.#sweep());
    this.#sweep();
  }

  /** Sends nothing more; an acknowledgement still counts. */
  stop(): void {
    this.#state = 'stopped';
    this.#stopSweep();
  }

  /** Records of the commands topic. */
  read(records: readonly BusRecord[]): void {
    for (const record of records) {
      const entry = entryOf(record);
      if (entry === null) continue;
      const pending = this.#pendingOf(record.partition);
      pending.apply(entry);
      const { key } = entry;
      if (entry.kind === 'outcome' && this.#sending.get(key)?.command.id === entry.id) this.#sending.delete(key);
      this.#sendNext(pending, key);
    }
  }

  #pendingOf(partition: number): PendingCommands {
    const known = this.#partitions.get(partition);
    if (known !== undefined) return known;
    const made = new PendingCommands();
    this.#partitions.set(partition, made);
    return made;
  }

  #sendNext(pending: PendingCommands, key: string): void {
    if (this.#state !== 'sending' || this.#sending.has(key)) return;
    const command = this.#next(pending.of(key));
    if (command === null || !this.#context.subscribers.hear(command.topic)) return;
    const delivery = this.#context.subscribers.deliver(command.topic, command.payload);
    this.#await({ command, open: 0, isOver: false }, delivery);
  }

  #next(commands: Iterable<Command>): Command | null {
    const nowMs = this.#context.clock.nowMs();
    for (const command of commands) {
      if (!this.#acknowledged.has(command) && nowMs < command.expiresAtMs) return command;
    }
    return null;
  }

  #onSubscribed(topic: string, subscriber: Subscriber): void {
    const to = deviceOf(topic);
    if (to?.kind !== 'commands') return;
    const key = deviceKey(to.site, to.device);
    const before = this.#sending.get(key);
    // Behind its SUBACK.
    setImmediate(() => this.#greet(key, before, topic, subscriber));
  }

  /**
   * The connection that a command was sent on may be dead without anyone knowing yet: the new one is sent it too. What was
   * sent after it subscribed, it was sent as well.
   */
  #greet(key: string, before: Sending | undefined, topic: string, { subscriptions, outbox }: Subscriber): void {
    if (this.#state !== 'sending' || !subscriptions.has(topic)) return;
    const sending = this.#sending.get(key);
    if (sending === undefined) {
      for (const pending of this.#partitions.values()) this.#sendNext(pending, key);
    } else if (sending === before && this.#context.clock.nowMs() < sending.command.expiresAtMs) {
      const sent = outbox.send(topic, sending.command.payload);
      this.#await(
        sending,
        sent.then((isAcknowledged) => (isAcknowledged ? 'acknowledged' : 'gone')),
      );
    }
  }

  #await(sending: Sending, delivery: Promise<Delivery>): void {
    const { command } = sending;
    this.sent++;
    sending.open++;
    this.#sending.set(command.key, sending);
    void delivery.then((how) => {
      sending.open--;
      if (this.#sending.get(command.key) !== sending) return;
      if (how === 'acknowledged') this.#onAcknowledged(command);
      // Tried again at the next subscription or sweep: at once would be for ever with one whose outbox is full.
      else if (sending.open === 0) this.#sending.delete(command.key);
    });
  }

  #onAcknowledged(command: Command): void {
    const { say, instance, clock } = this.#context;
    this.#sending.delete(command.key);
    this.#acknowledged.add(command);
    say(outcomeRecord(command, 'acknowledged', instance, clock.nowMs()));
    this.#sendNext(this.#pendingOf(command.partition), command.key);
  }

  #sweep(): void {
    for (const pending of this.#partitions.values()) {
      for (const key of pending.devices()) this.#sendNext(pending, key);
    }
    this.#tellOver();
  }

  /** Of commands that are now or never the keeper could not tell that the device was there. */
  #tellOver(): void {
    const { say, instance, clock } = this.#context;
    const nowMs = clock.nowMs();
    for (const sending of this.#sending.values()) {
      const { command, isOver } = sending;
      if (!command.isNow || isOver || nowMs < command.expiresAtMs + graceMs) continue;
      sending.isOver = true;
      say(outcomeRecord(command, 'expired', instance, nowMs));
    }
  }
}
