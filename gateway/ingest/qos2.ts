/**
 * QoS 2: a packet id is taken once until its PUBREL [MQTT-4.3.3-2]. The broker asks for every copy, also for those that
 * come while the first is held, and its own memory of packet ids ends with the connection.
 */
import { createHash } from 'node:crypto';
import type { GatewayOptions } from '../options.ts';
import type { Ack } from './acks.ts';
import type { Publish } from './records.ts';

interface Taken {
  readonly ack: Ack;
  /** Only of a persistent session. */
  readonly digest: string | null;
}

/** Ids over all sessions, also of those whose client is away. */
interface Total {
  ids: number;
}

/** Packet ids of one session between PUBLISH and PUBREL. */
export class PacketIds {
  readonly #total: Total;
  readonly #isPersistent: boolean;
  readonly #taken = new Map<number, Taken>();
  /** Ids that were taken on an earlier connection of the session. */
  #inherited = new Set<number>();
  /** Open ones of the session: two for a moment when a client connects anew. */
  connections = 0;

  constructor(total: Total, isPersistent: boolean) {
    this.#total = total;
    this.#isPersistent = isPersistent;
  }

  get size(): number {
    return this.#taken.size;
  }

  /**
   * The acknowledgement of the packet when it was taken before, else `null`. Across connections only the same packet is a
   * copy: the broker cannot tell the client that we still know its session, and one that began anew uses the same ids
   * for other messages. In doubt a message is taken twice, not lost.
   */
  find(publish: Publish): Ack | null {
    const taken = this.#taken.get(publish.messageId!);
    if (taken === undefined) return null;
    if (this.#inherited.has(publish.messageId!) && taken.digest !== digestOf(publish)) return null;
    return taken.ack;
  }

  add(publish: Publish, ack: Ack): void {
    const before = this.#taken.size;
    this.#inherited.delete(publish.messageId!);
    this.#taken.set(publish.messageId!, { ack, digest: this.#isPersistent ? digestOf(publish) : null });
    this.#total.ids += this.#taken.size - before;
  }

  /** PUBREL: the id is free for another message. */
  release(packetId: number): void {
    if (this.#taken.delete(packetId)) this.#total.ids--;
    this.#inherited.delete(packetId);
  }

  /** A new connection of the session. */
  inherit(): void {
    this.#inherited = new Set(this.#taken.keys());
  }

  forget(): void {
    this.#total.ids -= this.#taken.size;
    this.#taken.clear();
  }
}

export type Qos2Limits = Pick<GatewayOptions, 'maxUnfinishedQos2PerClient' | 'maxUnfinishedQos2'>;

/**
 * The sessions, and how much of them is kept: ids without their PUBREL are bounded for each and in total. At the bound of
 * all, those whose client is away are forgotten, the longest away first; then each session may have its share.
 */
export class Qos2Sessions {
  readonly #limits: Qos2Limits;
  readonly #total: Total = { ids: 0 };
  /** Persistent ones (CONNECT with clean session 0) by client id. */
  readonly #persistent = new Map<string, PacketIds>();
  /** Those of them whose client is away, the longest first. */
  readonly #away = new Map<string, PacketIds>();

  constructor(limits: Qos2Limits) {
    this.#limits = limits;
  }

  /** The packet ids that an accepted client has. [MQTT-3.1.2-6]: a clean session begins with none and leaves none. */
  open(clientId: string, isPersistent: boolean): PacketIds {
    const known = this.#persistent.get(clientId);
    this.#away.delete(clientId);
    if (!isPersistent) this.#forget(clientId, known);
    const ids = isPersistent && known !== undefined ? known : new PacketIds(this.#total, isPersistent);
    ids.connections++;
    ids.inherit();
    if (isPersistent) this.#persistent.set(clientId, ids);
    return ids;
  }

  /** A connection of the session is closed. */
  close(clientId: string, ids: PacketIds): void {
    ids.connections--;
    if (ids.connections > 0) return;
    const isKept = this.#persistent.get(clientId) === ids && ids.size > 0;
    if (isKept) this.#away.set(clientId, ids);
    else this.#forget(clientId, ids);
  }

  /** Whether the session may begin one more message. `sessions`: among how many all are shared out. */
  mayBegin(ids: PacketIds, sessions: number): boolean {
    const { maxUnfinishedQos2PerClient, maxUnfinishedQos2 } = this.#limits;
    if (ids.size >= maxUnfinishedQos2PerClient) return false;
    for (const [clientId, away] of this.#away) {
      if (this.#total.ids < maxUnfinishedQos2) return true;
      this.#away.delete(clientId);
      this.#forget(clientId, away);
    }
    return this.#total.ids < maxUnfinishedQos2 || ids.size < maxUnfinishedQos2 / sessions;
  }

  #forget(clientId: string, ids: PacketIds | undefined): void {
    if (this.#persistent.get(clientId) === ids) this.#persistent.delete(clientId);
    ids?.forget();
  }
}

function digestOf({ topic, payload }: Publish): string {
  return createHash('sha256').update(topic).update('\0').update(payload).digest('base64');
}
