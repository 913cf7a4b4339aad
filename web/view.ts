/**
 * What the page and the API show, read from the bus and the store alone: the same whether gateway and processor run in
 * this process or in others. It is never written back, but for tombstones of runs that ended long ago, and that devices
 * of a gateway that is gone are offline, where no other gateway says it.
 */
import type { Bus, BusRecord, Following, Lag } from '../bus/port.ts';
import type { Alert } from '../core/alert.ts';
import type { Clock } from '../core/clock.ts';
import { messageOf } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';
import { parsePresence, presenceRecord } from '../core/presence.ts';
import { Roster } from '../core/roster.ts';
import type { PipelineStatus } from '../core/status.ts';
import type { TopicNames } from '../core/topics.ts';
import type { Store } from '../store/port.ts';
import { AlertStates, maxResolved } from './alerts.ts';
import type { Overview } from './api.ts';
import { Devices } from './devices.ts';
import { lagOfOwners } from './lag.ts';
import { NewestPoll } from './newest-poll.ts';
import { OnDemand } from './on-demand.ts';
import type { ReadinessChecks } from './readiness.ts';
import { alertOf, statusOf } from './records.ts';
import { Runs } from './runs.ts';

export interface ViewContext {
  readonly bus: Bus;
  readonly store: Store;
  readonly topics: TopicNames;
  /** Consumer group of the processors. */
  readonly group: string;
  readonly version: string;
  /** Of this run. */
  readonly instance: string;
  readonly readiness: ReadinessChecks;
  /** What the roles of this process say: known without the bus, and newer than on it. */
  readonly status: () => readonly PipelineStatus[];
  readonly clock: Clock;
  readonly log: Logger;
}

const tidyEveryMs = 3_600_000;
const lookForLostEveryMs = 1000;
const lagEveryMs = 2000;
const statusEveryMs = 500;

export class LiveView {
  readonly devices = new Devices();
  readonly alerts = new AlertStates();
  readonly #context: ViewContext;
  readonly #runs = new Runs();
  readonly #roster: Roster;
  readonly #newest: NewestPoll;
  readonly #lag: OnDemand;
  readonly #status: OnDemand;
  readonly #startedAtMs: number;
  #rawPartitions = 0;
  #lagBehindCommit: Lag = { records: 0, seconds: 0 };
  #problemsHere: readonly string[] = [];
  #onAlert: (alert: Alert) => void = () => {};
  #followings: Following[] = [];
  #stopTidying: () => void = () => {};
  #stopLooking: () => void = () => {};
  #tellingLost: Promise<void> | null = null;
  #isCaughtUp = false;
  #starting: Promise<void> | null = null;

  constructor(context: ViewContext) {
    const { clock, store, readiness, instance } = context;
    this.#context = context;
    this.#roster = new Roster(`web/${instance}`);
    this.#startedAtMs = clock.nowMs();
    this.#newest = new NewestPoll(store, clock, (readings) => this.devices.found(readings));
    this.#lag = new OnDemand(clock, lagEveryMs, () => this.#askLag());
    this.#status = new OnDemand(clock, statusEveryMs, async () => {
      this.#problemsHere = (await readiness.ask()).problems;
    });
  }

  /** Whether everything that was on the bus at the start has been read. */
  get isCaughtUp(): boolean {
    return this.#isCaughtUp;
  }

  /** Reads what is there and goes on following. Rejects with BUS_TOPIC_MISSING, BUS_UNAVAILABLE. Idempotent. */
  start(): Promise<void> {
    this.#starting ??= this.#start();
    return this.#starting;
  }

  async close(): Promise<void> {
    await this.#starting?.catch(() => {});
    this.#stopTidying();
    this.#stopLooking();
    await Promise.all(this.#followings.map((following) => following.close()));
  }

  /** Calls `listener` with each alert that begins, changes or ends from now on. */
  onAlert(listener: (alert: Alert) => void): void {
    this.#onAlert = listener;
  }

  /** Asks what `overview` cannot know from the bus; never rejects, and takes no longer than a readiness check. */
  async refreshStatus(): Promise<void> {
    await this.#status.run();
    // Slow on a bus in trouble, whose readiness then says so: the lag known last is shown meanwhile.
    this.#lag.run().catch(() => {});
  }

  /** Asks the store for values newer than those known; rejects with STORE_UNAVAILABLE. */
  refreshDevices(): Promise<void> {
    return this.#newest.run();
  }

  /** Devices online, also of those that `devices` has no room for. */
  get online(): number {
    return this.#roster.size;
  }

  overview(): Overview {
    const { bus, store, version, clock, status } = this.#context;
    const nowMs = clock.nowMs();
    for (const own of status()) this.#runs.heard(structuredClone(own), nowMs);
    const roles = this.#runs.living(nowMs);
    return {
      version,
      atMs: nowMs,
      uptimeMs: nowMs - this.#startedAtMs,
      bus: bus.kind,
      store: store.kind,
      lag: lagOfOwners(roles, this.#rawPartitions) ?? this.#lagBehindCommit,
      ledger: this.#runs.ledger(),
      problems: [...new Set([...this.#problemsHere, ...roles.flatMap(({ problems }) => problems)])],
      totals: this.#runs.totals(nowMs),
      roles,
    };
  }

  async #start(): Promise<void> {
    const { bus, topics, clock } = this.#context;
    this.#rawPartitions = await bus.partitionCount(topics.raw);
    await Promise.all([
      this.#follow(topics.pipelineStatus, 'beginning', (record) => this.#readStatus(record)),
      this.#follow(topics.deviceStatus, 'beginning', (record) => {
        const presence = parsePresence(record.value);
        if (presence !== null && this.#roster.heard(record.key, presence)) this.devices.presence(presence);
      }),
      this.#follow(topics.alertsState, 'beginning', (record) => this.#readAlertState(record)),
      this.#follow(topics.alerts, 'end', (record) => this.#readAlert(record)),
    ]);
    const partitions = await bus.partitionCount(topics.alerts);
    for (let partition = 0; partition < partitions; partition++) await this.#readLastAlerts(partition);
    this.#isCaughtUp = true;
    this.#stopLooking = clock.every(lookForLostEveryMs, () => this.#lookForLost());
    this.#stopTidying = clock.every(tidyEveryMs, () => void this.#tidy());
    await this.#tidy();
  }

  async #follow(topic: string, from: 'beginning' | 'end', read: (record: BusRecord) => void): Promise<void> {
    const following = await this.#context.bus.follow(topic, from, (records) => {
      for (const record of records) read(record);
    });
    this.#followings.push(following);
  }

  #readStatus(record: BusRecord): void {
    const status = statusOf(record);
    if (record.value === null) this.#runs.forget(record.key);
    else this.#roster.lives(record.key);
    // A run that ended before us must not look alive for a moment, and the clock of another machine may be off.
    if (status === null) return;
    const nowMs = this.#context.clock.nowMs();
    this.#runs.heard(status, this.#isCaughtUp ? nowMs : status.atMs);
    if (status.role === 'processor') this.devices.skewed(this.#runs.skewed(nowMs));
  }

  #readAlertState(record: BusRecord): void {
    const alert = alertOf(record);
    if (alert === null && record.value !== null) return;
    if (this.alerts.state(record.key, alert) && alert !== null) this.#onAlert(alert);
  }

  #readAlert(record: BusRecord): void {
    const alert = alertOf(record);
    if (alert !== null && this.alerts.published(alert)) this.#onAlert(alert);
  }

  /** Alerts that ended before us. */
  async #readLastAlerts(partition: number): Promise<void> {
    const { bus, topics } = this.#context;
    const { endOffset } = await bus.read(topics.alerts, partition, 0, 0);
    if (endOffset === 0) return;
    const { records } = await bus.read(topics.alerts, partition, Math.max(0, endOffset - maxResolved), maxResolved);
    for (const record of records) this.#readAlert(record);
  }

  /** The number of keys on the status topic is the number of runs of the last day, not of all time. */
  async #tidy(): Promise<void> {
    const { bus, topics, clock, log } = this.#context;
    const timestampMs = clock.nowMs();
    const records = this.#runs.forgettable(timestampMs).map((key) => ({ key, value: null, headers: {}, timestampMs }));
    try {
      if (records.length > 0) await bus.append(topics.pipelineStatus, records);
    } catch (error) {
      log.debug({ error: messageOf(error) }, 'old runs could not be taken from the status topic yet');
    }
  }

  /** One batch at a time. */
  #lookForLost(): void {
    this.#tellingLost ??= this.#tellLost().finally(() => {
      this.#tellingLost = null;
    });
  }

  async #tellLost(): Promise<void> {
    const { bus, topics, clock, log } = this.#context;
    const lost = this.#roster.lost(clock.nowMs());
    if (lost.length === 0) return;
    const records = lost.map(presenceRecord);
    try {
      await bus.append(topics.deviceStatus, records);
      for (const [i, presence] of lost.entries()) this.#roster.heard(records[i]!.key, presence);
    } catch (error) {
      log.debug({ error: messageOf(error) }, 'devices of a gateway that is gone could not be told offline yet');
    }
  }

  async #askLag(): Promise<void> {
    const { bus, topics, group } = this.#context;
    this.#lagBehindCommit = await bus.lag(topics.raw, group);
  }
}
