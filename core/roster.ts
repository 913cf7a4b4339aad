/**
 * Which gateway holds which device, as the device status topic has it, and which gateways are gone. Every gateway and
 * every page keeps one, and tells the devices of a lost gateway offline: the first of those that live, by name, at once,
 * the next ones only if it did not. Silence is counted in status records of our own, in the order of the log: while the
 * bus stalls ours do not come either, and nobody is taken for lost. When two tell the same, they say the same.
 */
import { type DevicePresence, gatewayLost } from './presence.ts';

/** A process from which nothing came while so many of our own statuses did is gone. They come every second. */
const goneAfter = 6;
/** By how many more everyone waits for the one before. */
const turnAfter = 3;
const forgottenAfter = 3600;
const maxDevices = 100_000;
const maxLostAtOnce = 2000;

interface Holder {
  readonly instance: string;
  /** `site/device` */
  readonly devices: Set<string>;
}

export class Roster {
  readonly #self: string;
  readonly #holders = new Map<string, Holder>();
  readonly #holderOf = new Map<string, Holder>();
  /** By key of the pipeline status topic: how many statuses of our own had come when the newest of it came. */
  readonly #heardAt = new Map<string, number>();
  #ownStatuses = 0;

  /** `self`: our key on the pipeline status topic. */
  constructor(self: string) {
    this.#self = self;
  }

  /** Devices online, over all gateways. */
  get size(): number {
    return this.#holderOf.size;
  }

  /** Devices beyond are not known to be online. */
  get isFull(): boolean {
    return this.#holderOf.size >= maxDevices;
  }

  /** The run of the gateway at which the device is; `null`: it is offline. */
  holderOf(key: string): string | null {
    return this.#holderOf.get(key)?.instance ?? null;
  }

  /**
   * A record of the device status topic. `false`: it says that the device is offline at a gateway which it had left for
   * another before, and is to be passed over.
   */
  heard(key: string, { status, instance }: Pick<DevicePresence, 'status' | 'instance'>): boolean {
    const before = this.#holderOf.get(key);
    if (status === 'offline') {
      if (before !== undefined && before.instance !== instance) return false;
      this.#release(key);
    } else if (before?.instance !== instance && (before !== undefined || !this.isFull)) {
      this.#release(key);
      const holder = this.#holder(instance);
      holder.devices.add(key);
      this.#holderOf.set(key, holder);
    }
    return true;
  }

  /** A record of the pipeline status topic that is no tombstone: whoever wrote it lives. */
  lives(key: string): void {
    if (key === this.#self) this.#ownStatuses++;
    if (!key.startsWith('processor/')) this.#heardAt.set(key, this.#ownStatuses);
  }

  /**
   * What is to be told of the devices of gateways that are gone, a batch of them; nothing while that is up to another
   * process. Who has told it calls `heard`: else it is said again.
   */
  lost(nowMs: number): DevicePresence[] {
    const patience = goneAfter + this.#placeInLine() * turnAfter;
    const lost: DevicePresence[] = [];
    for (const { instance, devices } of this.#holders.values()) {
      if (this.#silence(keyOf(instance)) <= patience) continue;
      for (const key of devices) {
        if (lost.length >= maxLostAtOnce) return lost;
        lost.push(offline(key, instance, nowMs));
      }
    }
    this.#forgetSilent();
    return lost;
  }

  #placeInLine(): number {
    let before = 0;
    for (const key of this.#heardAt.keys()) if (key < this.#self && this.#silence(key) <= goneAfter) before++;
    return before;
  }

  #silence(key: string): number {
    return this.#ownStatuses - this.#heardAt.get(key)!;
  }

  /** One whose status did not come yet is given as long as one that has just said something. */
  #holder(instance: string): Holder {
    let holder = this.#holders.get(instance);
    if (holder === undefined) {
      holder = { instance, devices: new Set() };
      this.#holders.set(instance, holder);
      if (!this.#heardAt.has(keyOf(instance))) this.#heardAt.set(keyOf(instance), this.#ownStatuses);
    }
    return holder;
  }

  #release(key: string): void {
    const holder = this.#holderOf.get(key);
    if (holder === undefined) return;
    this.#holderOf.delete(key);
    holder.devices.delete(key);
    if (holder.devices.size === 0) this.#holders.delete(holder.instance);
  }

  #forgetSilent(): void {
    const held = new Set([...this.#holders.keys()].map(keyOf));
    for (const key of this.#heardAt.keys()) {
      if (this.#silence(key) > forgottenAfter && !held.has(key)) this.#heardAt.delete(key);
    }
  }
}

function keyOf(instance: string): string {
  return `gateway/${instance}`;
}

function offline(key: string, instance: string, nowMs: number): DevicePresence {
  const slash = key.indexOf('/');
  return {
    site: key.slice(0, slash),
    device: key.slice(slash + 1),
    status: 'offline',
    sinceMs: nowMs,
    reason: gatewayLost,
    clientId: null,
    identity: null,
    instance,
  };
}
