/**
 * Tells on the device status topic which devices are here: `online` with the CONNECT of a connection whose identity names
 * its device, else with the first message for a device; `offline` when that connection ends. It also reads what others
 * tell: a device that has moved to another gateway is not offline, and one that is called offline and is here is told
 * online again. Devices of a gateway that is gone are told offline (`core/roster.ts`).
 */
import type { Bus, BusRecord } from '../../bus/port.ts';
import type { Clock } from '../../core/clock.ts';
import { endsWithin } from '../../core/deadline.ts';
import type { Logger } from '../../core/log.ts';
import { type DevicePresence, gatewayLost, parsePresence, presenceRecord } from '../../core/presence.ts';
import { deviceKey } from '../../core/reading.ts';
import { Roster } from '../../core/roster.ts';
import type { PresenceStatus } from '../../core/status.ts';
import type { TopicNames } from '../../core/topics.ts';
import type { Connection } from '../connection/connection.ts';
import { Follow } from '../follow.ts';
import { Teller } from './teller.ts';

/** Devices that are online here at most, over all connections and of one; more are not told of. */
const maxDevices = 100_000;
const maxDevicesPerConnection = 10_000;
const lookForLostEveryMs = 1000;

export type Speaker = Pick<Connection, 'clientId' | 'access' | 'devices' | 'endReason'>;

/** Why a device is online: what named it, or that another had called it offline. */
type OnlineReason = 'connected' | 'message' | 'still_connected';

/** A device that is here. */
interface Here {
  /** Who spoke last for it: one that moved to a new connection is not offline when the old one ends. */
  speaker: Speaker;
  /** It was told, and what we said has not come back on the topic: what comes before that is older. */
  isOnItsWay: boolean;
}

export interface PresenceContext {
  readonly bus: Bus;
  readonly topics: TopicNames;
  /** Unique per run. */
  readonly instance: string;
  readonly clock: Clock;
  readonly log: Logger;
}

export class Presence {
  readonly #context: PresenceContext;
  readonly #teller: Teller;
  readonly #roster: Roster;
  readonly #ofDevices: Follow;
  readonly #ofProcesses: Follow;
  /** By `site/device`. */
  readonly #here = new Map<string, Here>();
  #lost = 0;
  #stop: () => void = () => {};

  constructor(context: PresenceContext) {
    const { bus, topics, instance, clock, log } = context;
    this.#context = context;
    this.#teller = new Teller({ bus, topic: topics.deviceStatus, clock, log });
    this.#roster = new Roster(`gateway/${instance}`);
    this.#ofDevices = new Follow({
      bus,
      topic: topics.deviceStatus,
      from: 'beginning',
      onRecords: (records) => this.#readDevices(records),
      clock,
      log,
    });
    this.#ofProcesses = new Follow({
      bus,
      topic: topics.pipelineStatus,
      from: 'end',
      onRecords: (records) => this.#readProcesses(records),
      clock,
      log,
    });
  }

  start(): void {
    this.#teller.start();
    this.#ofProcesses.start();
    this.#ofDevices.start(() => this.#tellUnheard());
    this.#stop = this.#context.clock.every(lookForLostEveryMs, () => this.#tellLost());
  }

  /** Tells what waits, as far as the bus takes it within `deadlineMs`. */
  async close(deadlineMs: number): Promise<void> {
    this.#stop();
    const closed = [this.#teller.close(deadlineMs), this.#ofDevices.close(), this.#ofProcesses.close()];
    await endsWithin(this.#context.clock, deadlineMs, Promise.all(closed));
  }

  status(): PresenceStatus {
    const { waiting, givenUp } = this.#teller;
    return { devices: this.#here.size, waiting, givenUp, lost: this.#lost };
  }

  /** What keeps it from reading what others tell, in words. */
  warnings(): string[] {
    const full = this.#roster.isFull ? [`more than ${this.#roster.size} devices are online: not all are known`] : [];
    return [...this.#ofDevices.problems(), ...this.#ofProcesses.problems(), ...full];
  }

  /** A connection whose identity names its device was accepted. */
  connected(site: string, device: string, speaker: Speaker): void {
    this.#speaks(deviceKey(site, device), speaker, 'connected');
  }

  /** A message of the device `key` came. */
  heard(key: string, speaker: Speaker): void {
    this.#speaks(key, speaker, 'message');
  }

  /** A connection ended. */
  gone(speaker: Speaker): void {
    for (const key of speaker.devices) {
      const here = this.#here.get(key)!;
      this.#here.delete(key);
      if (here.isOnItsWay || !this.#isElsewhere(key)) this.#tell(key, 'offline', speaker.endReason, speaker);
    }
    speaker.devices.clear();
  }

  #speaks(key: string, speaker: Speaker, reason: OnlineReason): void {
    const before = this.#here.get(key);
    if (before?.speaker === speaker || speaker.devices.size >= maxDevicesPerConnection) return;
    if (before === undefined && this.#here.size >= maxDevices) return;
    speaker.devices.add(key);
    if (before === undefined) {
      const here = { speaker, isOnItsWay: false };
      this.#here.set(key, here);
      this.#tellOnline(key, here, reason);
    } else {
      before.speaker.devices.delete(key);
      before.speaker = speaker;
    }
  }

  #tellOnline(key: string, here: Here, reason: OnlineReason): void {
    here.isOnItsWay = true;
    this.#tell(key, 'online', reason, here.speaker);
  }

  #tell(key: string, status: DevicePresence['status'], reason: string, { clientId, access }: Speaker): void {
    const { clock, instance } = this.#context;
    const slash = key.indexOf('/');
    const site = key.slice(0, slash);
    const device = key.slice(slash + 1);
    const identity = access?.identity.source ?? null;
    const presence = { site, device, status, sinceMs: clock.nowMs(), reason, clientId, identity, instance };
    this.#teller.tell(presenceRecord(presence));
  }

  /** Another gateway was the last to say that the device is online. */
  #isElsewhere(key: string): boolean {
    const holder = this.#roster.holderOf(key);
    return holder !== null && holder !== this.#context.instance;
  }

  #readDevices(records: readonly BusRecord[]): void {
    for (const { key, value } of records) {
      const presence = parsePresence(value);
      if (presence !== null) this.#readDevice(key, presence);
    }
  }

  #readDevice(key: string, presence: DevicePresence): void {
    this.#roster.heard(key, presence);
    const here = this.#here.get(key);
    const isOurs = presence.instance === this.#context.instance && presence.reason !== gatewayLost;
    if (presence.status === 'offline') {
      if (!isOurs && here?.isOnItsWay === false) this.#tellOnline(key, here, 'still_connected');
    } else if (here === undefined) {
      // It has come there since it left here.
      if (!isOurs) this.#teller.withdraw(key);
    } else if (isOurs) {
      here.isOnItsWay = false;
    }
  }

  #readProcesses(records: readonly BusRecord[]): void {
    for (const { key, value } of records) if (value !== null) this.#roster.lives(key);
  }

  /** What was said before we read the topic may have been overtaken there without a trace: only the newest is kept. */
  #tellUnheard(): void {
    for (const [key, here] of this.#here) {
      const isSaid = here.isOnItsWay && !this.#teller.has(key);
      if (isSaid && this.#roster.holderOf(key) === null) this.#tellOnline(key, here, 'still_connected');
    }
  }

  #tellLost(): void {
    if (!this.#ofDevices.isFollowing) return;
    for (const presence of this.#roster.lost(this.#context.clock.nowMs())) {
      const record = presenceRecord(presence);
      const here = this.#here.get(record.key);
      if (here === undefined) {
        this.#teller.tell(record);
        this.#roster.heard(record.key, presence);
        this.#lost++;
      } else if (!here.isOnItsWay) {
        this.#tellOnline(record.key, here, 'still_connected');
      }
    }
  }
}
