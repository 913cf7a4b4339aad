/**
 * A fleet of devices that publish over real MQTT connections. Open loop: each message has a time at which it is to be
 * sent, whatever became of those before it, and latency counts from there. What was acknowledged is reported once per
 * message: the list against which a pipeline can be checked.
 */
import type { Clock } from '../core/clock.ts';
import { messageOf } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';
import type { Fields } from '../core/reading.ts';
import { Connection, type ConnectionEvents } from './connection.ts';
import { Device, type Message } from './device.ts';
import { type DeviceIdentity, type Fleet, identities } from './fleet.ts';
import { Histogram, type Quantiles } from './histogram.ts';
import type { SimulatorOptions } from './options.ts';
import { Outbox } from './outbox.ts';
import { randomStream } from './random.ts';
import { Schedule } from './schedule.ts';
import type { TruthWriter } from './truth.ts';

/** A message whose PUBACK (QoS 1) or PUBCOMP (QoS 2) came. */
export interface AcknowledgedReading {
  readonly site: string;
  readonly device: string;
  readonly seq: number;
  /** The `ts` in the payload: when it was to be sent. */
  readonly timeMs: number;
  readonly fields: Fields;
}

/** Messages: `made = sent + waiting + skipped`, and above QoS 0 `sent + waiting = acknowledged + unacknowledged`. */
export interface SimulatorStats {
  readonly devices: number;
  readonly connected: number;
  /** Were connected at least once. */
  readonly everConnected: number;
  readonly made: number;
  /** At least once. */
  readonly sent: number;
  /** Sent again on a new connection. */
  readonly resent: number;
  readonly acknowledged: number;
  /** Held by the devices: sent without acknowledgement, or waiting. */
  readonly unacknowledged: number;
  /** Not sent, because the device held `maxHeld` others. */
  readonly skipped: number;
  /** Connections that failed or were lost. */
  readonly errors: number;
  readonly lastError: string | null;
  readonly reconnects: number;
  /** From the time a message was to be sent to its acknowledgement; `null` before the first. */
  readonly ackMs: Quantiles | null;
}

export interface SimulatorContext {
  readonly clock: Clock;
  readonly log: Logger;
  /** Part of the client ids, so that two fleets never throw each other out. */
  readonly run: string;
  readonly onAcknowledged?: (reading: AcknowledgedReading) => void;
  /** Is told what becomes of every message. Opened and closed by whoever gives it. */
  readonly truth?: TruthWriter;
}

interface Member {
  readonly topic: string;
  readonly device: Device;
  readonly outbox: Outbox;
  readonly connection: Connection;
}

/** How exactly messages are sent on time. */
const tickMs = 2;
/** For DISCONNECT to go out. */
const closeMs = 2000;

export class Simulator {
  readonly #options: SimulatorOptions;
  readonly #context: SimulatorContext;
  readonly #schedule = new Schedule();
  readonly #ackMs = new Histogram();
  readonly #finished = Promise.withResolvers<void>();
  #drained = Promise.withResolvers<void>();
  #members: readonly Member[] = [];
  #stopTicking: (() => void) | null = null;
  readonly #devices: number;
  #isSending = false;
  #isDraining = false;
  #stopping: Promise<void> | null = null;
  #saidTrouble = false;
  #connected = 0;
  #everConnected = 0;
  #made = 0;
  #sent = 0;
  #resent = 0;
  #acknowledged = 0;
  #held = 0;
  #skipped = 0;
  #errors = 0;
  #lastError: string | null = null;
  #reconnects = 0;

  constructor(options: SimulatorOptions, context: SimulatorContext) {
    this.#options = options;
    this.#devices = options.fleets.reduce((total, { count }) => total + count, 0);
    this.#context = context;
  }

  /** Resolves when `limit` or `durationMs` is reached, or when it is stopped; messages may still be outstanding. */
  get finished(): Promise<void> {
    return this.#finished.promise;
  }

  /** Begins to connect and to send, and goes on by itself whether the broker can be reached or not. */
  start(): void {
    if (this.#stopTicking !== null || this.#stopping !== null) return;
    const { fleets, connectRate, durationMs } = this.#options;
    const { clock } = this.#context;
    const startMs = clock.nowMs();
    this.#isSending = true;
    this.#members = fleets
      .flatMap((fleet) => identities(fleet).map((identity) => ({ identity, fleet })))
      .map(({ identity, fleet }, i) => this.#member(identity, fleet, startMs, startMs + (i / connectRate) * 1000));
    if (durationMs !== null) this.#schedule.add(startMs + durationMs, () => this.#finish());
    this.#stopTicking = clock.every(tickMs, () => this.#schedule.runDue(clock.nowMs()));
  }

  /** Makes no more messages, waits up to `drainMs` for what is outstanding, and disconnects. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  stats(): SimulatorStats {
    return {
      devices: this.#devices,
      connected: this.#connected,
      everConnected: this.#everConnected,
      made: this.#made,
      sent: this.#sent,
      resent: this.#resent,
      acknowledged: this.#acknowledged,
      unacknowledged: this.#held,
      skipped: this.#skipped,
      errors: this.#errors,
      lastError: this.#lastError,
      reconnects: this.#reconnects,
      ackMs: this.#ackMs.quantiles(),
    };
  }

  #member(identity: DeviceIdentity, fleet: Fleet, startMs: number, firstMs: number): Member {
    const options = this.#options;
    const { seed, format, maxInFlight, maxHeld } = options;
    const spreadMs = (identity.index / fleet.count) * fleet.intervalMs;
    const device = new Device(identity, { ...fleet, seed, format, startMs, firstMs: firstMs + spreadMs });
    const outbox = new Outbox(maxInFlight, maxHeld);
    const fill = (template: string) => fillIn(template, identity, this.#context.run);
    const topic = fill(options.topic);
    const settings = { ...options, clientId: fill(options.clientId), topic };
    const random = randomStream(seed, identity.device, 'reconnect');
    const connection = new Connection(settings, outbox, this.#eventsOf(identity), random);
    const member = { topic, device, outbox, connection };
    this.#schedule.add(firstMs, () => connection.open());
    this.#schedule.add(device.nextAtMs, () => this.#send(member));
    return member;
  }

  #send(member: Member): void {
    if (!this.#isSending) return;
    const { topic, device, outbox, connection } = member;
    const message = device.next();
    this.#schedule.add(device.nextAtMs, () => this.#send(member));
    this.#made++;
    this.#context.truth?.made(topic, message);
    if (outbox.add(message)) {
      this.#held++;
      connection.pump();
    } else {
      this.#skipped++;
      this.#context.truth?.skipped(message);
    }
    if (this.#made === this.#options.limit) this.#finish();
  }

  #finish(): void {
    this.#isSending = false;
    this.#finished.resolve();
  }

  async #stop(): Promise<void> {
    this.#finish();
    const { clock } = this.#context;
    const timeout = new AbortController();
    this.#isDraining = true;
    this.#checkDrained();
    await Promise.race([this.#drained.promise, clock.sleep(this.#options.drainMs, timeout.signal)]);
    timeout.abort();
    this.#stopTicking?.();
    this.#schedule.clear();
    await this.#disconnect();
  }

  async #disconnect(): Promise<void> {
    const timeout = new AbortController();
    const closed = Promise.all(this.#members.map(({ connection }) => connection.close()));
    await Promise.race([closed, this.#context.clock.sleep(closeMs, timeout.signal)]).catch((error: unknown) => {
      this.#context.log.warn({ error: messageOf(error) }, 'a connection did not close in order');
    });
    timeout.abort();
    this.#connected = 0;
    for (const { connection } of this.#members) connection.destroy();
  }

  #eventsOf({ site, device }: DeviceIdentity): ConnectionEvents {
    return {
      connected: (isFirst) => this.#onConnected(isFirst),
      lost: (wasOpen, reason) => this.#onLost(wasOpen, reason),
      sent: (message, isResend) => this.#onSent(message, isResend),
      acknowledged: (message) => this.#onAcknowledged(site, device, message),
      retryIn: (delayMs, retry) => this.#schedule.add(this.#context.clock.nowMs() + delayMs, retry),
    };
  }

  #onConnected(isFirst: boolean): void {
    this.#connected++;
    if (isFirst) this.#everConnected++;
    else this.#reconnects++;
    if (!this.#saidTrouble || this.#connected < this.#devices) return;
    this.#saidTrouble = false;
    this.#context.log.info({ broker: this.#options.broker, devices: this.#connected }, 'all devices are connected');
  }

  #onLost(wasOpen: boolean, reason: string): void {
    if (wasOpen) this.#connected--;
    this.#errors++;
    this.#lastError = reason;
    if (this.#saidTrouble) return;
    this.#saidTrouble = true;
    const what = wasOpen ? 'a connection was lost' : 'the broker cannot be reached';
    this.#context.log.warn({ broker: this.#options.broker, error: reason }, `${what}; trying again until it can be`);
  }

  #onSent(message: Message, isResend: boolean): void {
    if (isResend) {
      this.#resent++;
    } else {
      this.#sent++;
      this.#context.truth?.sent(message, this.#context.clock.nowMs());
    }
    if (this.#options.qos === 0) this.#release();
  }

  #onAcknowledged(site: string, device: string, message: Message): void {
    const { seq, timeMs, fields } = message;
    const nowMs = this.#context.clock.nowMs();
    this.#acknowledged++;
    this.#ackMs.add(Math.max(0, nowMs - timeMs));
    this.#context.onAcknowledged?.({ site, device, seq, timeMs, fields });
    this.#context.truth?.acknowledged(message, nowMs);
    this.#release();
  }

  #release(): void {
    this.#held--;
    this.#checkDrained();
  }

  #checkDrained(): void {
    if (this.#isDraining && this.#held === 0) this.#drained.resolve();
  }
}

/** Puts a device's names into a topic or a client id. */
function fillIn(template: string, { site, device }: DeviceIdentity, run: string): string {
  return template.replaceAll('{site}', site).replaceAll('{device}', device).replaceAll('{run}', run);
}
