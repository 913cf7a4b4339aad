/**
 * One device of a run with all that is its own: it measures, faults have their way, and what is left goes out when it is
 * due. Tells the tally and the truth of each step.
 */
import type { Clock } from '../core/clock.ts';
import { routeOf } from '../core/route.ts';
import type { ConnectionEvents } from './connection.ts';
import type { MeasurementSource } from './device.ts';
import { DeviceFaults } from './faults/device-faults.ts';
import { Interruptions } from './faults/interruptions.ts';
import type { DeviceIdentity } from './fleet.ts';
import type { Message } from './message.ts';
import { type Credentials, hasOwnIdentities } from './options.ts';
import type { Transmission } from './outbox.ts';
import type { Schedule } from './schedule.ts';
import type { Tally } from './tally.ts';
import type { Timeline } from './timeline.ts';
import type { TruthWriter } from './truth.ts';
import { filledIn, openWay, type Way, type WayContext, wrong } from './way.ts';

export interface MemberContext extends WayContext {
  readonly clock: Clock;
  readonly schedule: Schedule;
  readonly timeline: Timeline;
  readonly tally: Tally;
  readonly truth: TruthWriter | null;
  readonly onMade: () => void;
  readonly onConnected: () => void;
  /** Its connection failed, or was lost, and no fault did it. */
  readonly onTrouble: (wasOpen: boolean, reason: string) => void;
  readonly onAcknowledged: (transmission: Transmission, identity: DeviceIdentity) => void;
  /** Something that was held is held no more. */
  readonly onReleased: () => void;
}

export class Member {
  readonly #context: MemberContext;
  readonly #identity: DeviceIdentity;
  /** As the pipeline calls it: its topic says who it is. */
  readonly #known: { readonly site: string; readonly device: string };
  readonly #credentials: Credentials | null;
  readonly #source: MeasurementSource;
  readonly #faults: DeviceFaults;
  readonly #own: Way;
  /** Someone else who has its name and not its password; once there is something to try it with. */
  #intruder: Way | null = null;
  /** `null`: no fault breaks its connection. */
  readonly #interruptions: Interruptions | null;
  /** Message → when it is to be sent. */
  readonly #delayed = new Map<Message, number>();
  #heldBack: Message | null = null;
  /** Numbers its messages in the order in which they are first sent, or given up. */
  #next = 0;
  #isSending = true;
  /** It has a past to send, as fast as that is taken: the next message waits until there is room. */
  #isCatchingUp: boolean;
  #waitsForRoom = false;
  /** A fault is breaking its connection right now. */
  #isInterrupting = false;

  /** It connects at `connectAtMs`, by the clock. */
  constructor(identity: DeviceIdentity, source: MeasurementSource, connectAtMs: number, context: MemberContext) {
    const { options, run, timeline, schedule } = context;
    const { seed, format, faults } = options;
    const fillIn = (template: string) => filledIn(template, identity, run);
    const topic = fillIn(options.topic);
    this.#context = context;
    this.#identity = identity;
    this.#known = routeOf(topic) ?? identity;
    this.#isCatchingUp = options.backfillMs > 0;
    this.#source = source;
    const { credentials } = options;
    this.#credentials = typeof credentials === 'function' ? credentials(identity) : credentials;
    const speaksForItself = hasOwnIdentities(options);
    this.#faults = new DeviceFaults(faults, { identity, seed, format, topic, speaksForItself, fillIn });
    this.#own = openWay(
      identity,
      { credentials: this.#credentials, suffix: '', isReopened: true },
      context,
      this.#ownEvents(),
      (transmission) => this.#givenUp(transmission),
    );
    const { ofConnection } = this.#faults;
    this.#interruptions =
      ofConnection.length === 0
        ? null
        : new Interruptions(ofConnection, this.#own.connection, schedule, timeline, (act) => this.#interrupt(act));
    schedule.add(connectAtMs, () => this.#own.connection.open(connectAtMs));
    this.wake();
  }

  /** The source has something again. */
  wake(): void {
    const { schedule, timeline } = this.#context;
    const { nextAtMs } = this.#source;
    if (nextAtMs < Number.POSITIVE_INFINITY) schedule.add(timeline.wallMsOf(nextAtMs), () => this.#make());
  }

  /** Makes no more messages; those that faults hold back go out, and its network works. */
  finish(): void {
    this.#isSending = false;
    this.#interruptions?.end();
    for (const [message, dueMs] of this.#delayed) this.#sendPostponed(message, dueMs);
    this.#delayed.clear();
    this.#sendHeldBack();
  }

  async close(): Promise<void> {
    await Promise.all([this.#own.connection.close(), this.#intruder?.connection.close()]);
  }

  /** Ends a close that takes too long. */
  destroy(): void {
    this.#own.connection.destroy();
    this.#intruder?.connection.destroy();
  }

  #intruderWay(): Way {
    const credentials = wrong(this.#credentials);
    this.#intruder ??= openWay(
      this.#identity,
      { credentials, suffix: '-intruder', isReopened: false },
      this.#context,
      this.#intruderEvents(),
      (transmission) => this.#givenUp(transmission),
    );
    return this.#intruder;
  }

  #make(): void {
    if (!this.#isSending) return;
    const { tally, clock, options, onMade } = this.#context;
    const isPast = this.#isInPast();
    this.#waitsForRoom = isPast && this.#own.outbox.held >= options.maxInFlight;
    if (this.#waitsForRoom) return;
    const message = this.#faults.apply(this.#source.next(), isPast);
    tally.made++;
    tally.hitBy(message.faults);
    // What is of the past was not to be sent at any time by the clock: its turn is now.
    this.#dispatch(message, isPast ? clock.nowMs() : message.timeMs);
    this.wake();
    onMade();
  }

  #isInPast(): boolean {
    if (this.#isCatchingUp) this.#isCatchingUp = this.#source.nextAtMs < this.#context.clock.nowMs();
    return this.#isCatchingUp;
  }

  #dispatch(message: Message, dueMs: number): void {
    const { tally } = this.#context;
    if (message.copies === 0) {
      tally.lostOnPurpose++;
      this.#never(message, dueMs);
    } else if (message.isByIntruder) {
      const intruder = this.#intruderWay();
      this.#hand(message, dueMs, intruder);
      intruder.connection.open();
    } else if (message.delayMs > 0) {
      this.#delay(message, dueMs + message.delayMs);
    } else if (message.isHeldBack && this.#heldBack === null) {
      this.#heldBack = message;
      tally.held++;
    } else {
      this.#hand(message, dueMs, this.#own);
      this.#sendHeldBack();
    }
  }

  #delay(message: Message, dueMs: number): void {
    const { tally, schedule, options } = this.#context;
    if (this.#delayed.size + this.#own.outbox.held >= options.maxHeld) {
      this.#skip(message, dueMs);
      return;
    }
    this.#delayed.set(message, dueMs);
    tally.held++;
    schedule.add(dueMs, () => {
      if (this.#delayed.delete(message)) this.#sendPostponed(message, dueMs);
    });
  }

  #sendHeldBack(): void {
    const message = this.#heldBack;
    this.#heldBack = null;
    if (message !== null) this.#sendPostponed(message, this.#context.clock.nowMs());
  }

  #sendPostponed(message: Message, dueMs: number): void {
    this.#hand(message, dueMs, this.#own);
    this.#release();
  }

  #hand(message: Message, dueMs: number, { outbox, connection }: Way): void {
    const { tally, truth } = this.#context;
    if (!outbox.add(message, dueMs)) {
      this.#skip(message, dueMs);
      return;
    }
    tally.held += message.copies;
    tally.copies += message.copies - 1;
    truth?.handed(this.#known, this.#next++, message, dueMs);
    connection.pump();
  }

  #skip(message: Message, dueMs: number): void {
    this.#context.tally.skipped++;
    this.#never(message, dueMs);
  }

  #never(message: Message, dueMs: number): void {
    this.#context.truth?.never(this.#known, this.#next++, message, dueMs);
  }

  #ownEvents(): ConnectionEvents {
    const { tally, onConnected, onTrouble } = this.#context;
    return {
      ...this.#transmissionEvents(),
      connected: (isFirst, connectMs) => {
        tally.connectMs.add(connectMs);
        tally.connected++;
        if (isFirst) tally.everConnected++;
        else tally.reconnects++;
        onConnected();
      },
      lost: (wasOpen, reason) => {
        if (wasOpen) tally.connected--;
        if (!this.#isInterrupting) onTrouble(wasOpen, reason);
      },
    };
  }

  /** It is to be refused, and tries once for what it has. */
  #intruderEvents(): ConnectionEvents {
    return {
      ...this.#transmissionEvents(),
      connected: () => {},
      lost: () => this.#intruder?.outbox.giveUp(),
    };
  }

  #transmissionEvents(): Pick<ConnectionEvents, 'sent' | 'acknowledged'> {
    const { tally, truth, clock, options } = this.#context;
    return {
      sent: ({ message, dueMs }, isResend) => {
        if (isResend) {
          tally.resent++;
          return;
        }
        tally.sent++;
        tally.sendLagMs.add(clock.nowMs() - dueMs);
        truth?.sent(message, clock.nowMs());
        if (options.qos === 0) this.#release();
      },
      acknowledged: (transmission) => {
        const { message, dueMs } = transmission;
        const nowMs = clock.nowMs();
        tally.acknowledged++;
        tally.ackMs.add(Math.max(0, nowMs - dueMs));
        truth?.acknowledged(message, nowMs);
        this.#context.onAcknowledged(transmission, this.#identity);
        this.#release();
      },
    };
  }

  #givenUp({ message }: Transmission): void {
    const { tally, truth } = this.#context;
    tally.refused++;
    truth?.givenUp(message);
    this.#release();
  }

  #release(): void {
    this.#context.tally.held--;
    this.#context.onReleased();
    if (this.#waitsForRoom && this.#own.outbox.held < this.#context.options.maxInFlight) {
      this.#waitsForRoom = false;
      this.#context.schedule.add(this.#context.clock.nowMs(), () => this.#make());
    }
  }

  #interrupt(act: () => void): void {
    this.#isInterrupting = true;
    act();
    this.#isInterrupting = false;
  }
}
