/**
 * Fleets of devices that publish over real MQTT connections. Open loop: each message has a time at which it is to be
 * sent, whatever became of those before it, and latency counts from there. What was acknowledged is reported: the list
 * against which a pipeline can be checked.
 */
import type { Clock } from '../core/clock.ts';
import { endsWithin } from '../core/deadline.ts';
import { messageOf } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';
import type { Fields } from '../core/reading.ts';
import { Device, type MeasurementSource } from './device.ts';
import { type DialOf, dialTo } from './endpoint.ts';
import { type DeviceIdentity, identities } from './fleet.ts';
import { Member, type MemberContext } from './member.ts';
import type { SimulatorOptions } from './options.ts';
import type { Transmission } from './outbox.ts';
import { Schedule } from './schedule.ts';
import { type Latencies, type SimulatorStats, Tally } from './tally.ts';
import { Timeline } from './timeline.ts';
import type { TruthWriter } from './truth.ts';

/** A reading whose PUBACK (QoS 1) or PUBCOMP (QoS 2) came, and that must be stored. */
export interface AcknowledgedReading {
  readonly site: string;
  readonly device: string;
  readonly seq: number;
  /** The `ts` in the payload. */
  readonly timeMs: number;
  readonly fields: Fields;
}

export interface SimulatorContext {
  readonly clock: Clock;
  readonly log: Logger;
  /** Part of the client ids, so that two fleets never throw each other out. */
  readonly run: string;
  /**
   * Called for each acknowledgement: of a message that is sent twice on purpose, twice. `dueMs`: when it was to be sent,
   * by the clock.
   */
  readonly onAcknowledged?: (reading: AcknowledgedReading, dueMs: number) => void;
  /** Is told what becomes of every message. Opened and closed by whoever gives it. */
  readonly truth?: TruthWriter;
}

/** How exactly messages are sent on time. */
const tickMs = 2;
/** For DISCONNECT to go out. */
const closeMs = 5000;
/** All at once would be more to hold than the whole run. */
const closingTogether = 500;

export class Simulator {
  readonly #options: SimulatorOptions;
  readonly #context: SimulatorContext;
  #devices: number;
  readonly #schedule = new Schedule();
  readonly #tally = new Tally();
  readonly #finished = Promise.withResolvers<void>();
  readonly #drained = Promise.withResolvers<void>();
  /** What all devices share; `null` before the start. */
  #shared: MemberContext | null = null;
  readonly #members: Member[] = [];
  #nextConnectMs = 0;
  #stopTicking: (() => void) | null = null;
  #isFinished = false;
  #isDraining = false;
  #stopping: Promise<void> | null = null;
  #saidTrouble = false;

  constructor(options: SimulatorOptions, context: SimulatorContext) {
    this.#options = options;
    this.#context = context;
    this.#devices = options.fleets.reduce((total, { count }) => total + count, 0);
  }

  /** Resolves when `limit` or `durationMs` is reached, or when it is stopped; messages may still be outstanding. */
  get finished(): Promise<void> {
    return this.#finished.promise;
  }

  /**
   * Begins to connect and to send, and goes on by itself whether the broker can be reached or not. Throws
   * CONFIG_INVALID when certificate or key cannot be used, or a device has none or no user.
   */
  start(): void {
    if (this.#stopTicking !== null || this.#stopping !== null) return;
    const { broker, tls, fleets, seed, durationMs, backfillMs, speed } = this.#options;
    const { clock } = this.#context;
    const startMs = clock.nowMs();
    const timeline = new Timeline({ startMs, backfillMs, speed });
    this.#shared = this.#memberContext(timeline, dialTo(broker, tls));
    this.#nextConnectMs = startMs;
    for (const fleet of fleets) {
      for (const identity of identities(fleet)) {
        const spreadMs = (identity.index / fleet.count) * fleet.intervalMs;
        const firstMs = timeline.startMs + (this.#nextConnectMs - startMs) + spreadMs;
        this.#add(identity, new Device(identity, { fleet, seed, startMs: timeline.startMs, firstMs }), this.#shared);
      }
    }
    if (durationMs !== null) this.#schedule.add(startMs + durationMs, () => this.#finish());
    this.#stopTicking = clock.every(tickMs, () => this.#schedule.runDue(clock.nowMs()));
  }

  /**
   * One more device, whose measurements come from elsewhere; only while it runs. Returns what is to be called when the
   * source has something again after it had nothing. Throws CONFIG_INVALID when it has no user or certificate.
   */
  join(identity: DeviceIdentity, source: MeasurementSource): () => void {
    if (this.#shared === null || this.#isFinished) throw new Error('a device can only join a simulator that runs');
    this.#nextConnectMs = Math.max(this.#nextConnectMs, this.#context.clock.nowMs());
    const member = this.#add(identity, source, this.#shared);
    this.#devices++;
    return () => member.wake();
  }

  /** Makes no more messages, waits up to `drainMs` for what is outstanding, and disconnects. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  stats(): SimulatorStats {
    return this.#tally.stats(this.#devices);
  }

  /** They go on filling. */
  get latencies(): Latencies {
    return this.#tally;
  }

  #add(identity: DeviceIdentity, source: MeasurementSource, shared: MemberContext): Member {
    const member = new Member(identity, source, this.#nextConnectMs, shared);
    this.#members.push(member);
    this.#nextConnectMs += 1000 / this.#options.connectRate;
    return member;
  }

  #memberContext(timeline: Timeline, dialOf: DialOf): MemberContext {
    const { run, clock, truth = null } = this.#context;
    return {
      options: this.#options,
      run,
      dialOf,
      timer: { nowMs: () => clock.nowMs(), at: (atMs, task) => this.#schedule.add(atMs, task) },
      clock,
      schedule: this.#schedule,
      timeline,
      tally: this.#tally,
      truth,
      onMade: () => {
        if (this.#tally.made === this.#options.limit) this.#finish();
      },
      onConnected: () => this.#onConnected(),
      onTrouble: (wasOpen, reason) => this.#onTrouble(wasOpen, reason),
      onAcknowledged: (transmission, identity) => this.#onAcknowledged(transmission, identity),
      onReleased: () => this.#checkDrained(),
    };
  }

  #finish(): void {
    if (this.#isFinished) return;
    this.#isFinished = true;
    for (const member of this.#members) member.finish();
    this.#finished.resolve();
  }

  async #stop(): Promise<void> {
    this.#finish();
    const { clock } = this.#context;
    this.#isDraining = true;
    this.#checkDrained();
    await endsWithin(clock, this.#options.drainMs, this.#drained.promise);
    this.#stopTicking?.();
    this.#schedule.clear();
    await this.#disconnect();
  }

  async #disconnect(): Promise<void> {
    const open = [...this.#members];
    const closeInTurn = async () => {
      for (let member = open.pop(); member !== undefined; member = open.pop()) await member.close();
    };
    const closed = Promise.all(Array.from({ length: closingTogether }, closeInTurn));
    await endsWithin(this.#context.clock, closeMs, closed).catch((error: unknown) => {
      this.#context.log.warn({ error: messageOf(error) }, 'a connection did not close in order');
    });
    this.#tally.connected = 0;
    // Those whose turn has not come.
    for (const member of open) void member.close();
    for (const member of this.#members) member.destroy();
  }

  #onConnected(): void {
    const { connected } = this.#tally;
    if (!this.#saidTrouble || connected < this.#devices) return;
    this.#saidTrouble = false;
    this.#context.log.info({ broker: this.#options.broker, devices: connected }, 'all devices are connected');
  }

  #onTrouble(wasOpen: boolean, reason: string): void {
    this.#tally.failed(reason);
    if (this.#saidTrouble) return;
    this.#saidTrouble = true;
    const what = wasOpen ? 'a connection was lost' : 'the broker cannot be reached';
    this.#context.log.warn({ broker: this.#options.broker, error: reason }, `${what}; trying again until it can be`);
  }

  #onAcknowledged({ message, dueMs }: Transmission, { site, device }: DeviceIdentity): void {
    const { seq, reading, expect } = message;
    if (reading === null || reading.timeMs === null || expect.as !== 'stored') return;
    const { timeMs, fields } = reading;
    this.#context.onAcknowledged?.({ site, device, seq, timeMs, fields }, dueMs);
  }

  #checkDrained(): void {
    if (this.#isDraining && this.#tally.held === 0) this.#drained.resolve();
  }
}
