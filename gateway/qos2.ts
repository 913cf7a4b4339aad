/**
 * QoS 2: a packet id is taken once until its PUBREL [MQTT-4.3.3-2]. The broker asks for every copy, also for those that
 * come while the first is held, and its own memory of packet ids ends with the connection.
 */
import { createHash } from 'node:crypto';
import type { Ack } from './acks.ts';
import type { Publish } from './records.ts';

/** Persistent sessions (CONNECT with clean session 0) that are remembered. At the bound the longest unused is forgotten. */
const maxSessions = 10_000;

interface Taken {
  readonly ack: Ack;
  /** Only of a persistent session. */
  readonly digest: string | null;
}

/** Packet ids of one session between PUBLISH and PUBREL. Bounded by the broker, which ends a client with 1,000 of them. */
export class PacketIds {
  readonly #isPersistent: boolean;
  readonly #taken = new Map<number, Taken>();
  /** Ids that were taken on an earlier connection of the session. */
  #inherited = new Set<number>();

  constructor(isPersistent: boolean) {
    this.#isPersistent = isPersistent;
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
    this.#inherited.delete(publish.messageId!);
    this.#taken.set(publish.messageId!, { ack, digest: this.#isPersistent ? digestOf(publish) : null });
  }

  /** PUBREL: the id is free for another message. */
  release(packetId: number): void {
    this.#taken.delete(packetId);
    this.#inherited.delete(packetId);
  }

  /** A new connection of the session. */
  inherit(): void {
    this.#inherited = new Set(this.#taken.keys());
  }
}

/** Packet ids of persistent sessions by client id, the longest unused first. */
export class Qos2Sessions {
  readonly #persistent = new Map<string, PacketIds>();

  /** The packet ids that an accepted client has. [MQTT-3.1.2-6]: a clean session begins with none and leaves none. */
  open(clientId: string, isPersistent: boolean): PacketIds {
    const known = this.#persistent.get(clientId);
    this.#persistent.delete(clientId);
    const ids = isPersistent && known !== undefined ? known : new PacketIds(isPersistent);
    ids.inherit();
    if (isPersistent) this.#persistent.set(clientId, ids);
    if (this.#persistent.size > maxSessions) this.#persistent.delete(this.#persistent.keys().next().value!);
    return ids;
  }
}

function digestOf({ topic, payload }: Publish): string {
  return createHash('sha256').update(topic).update('\0').update(payload).digest('base64');
}
