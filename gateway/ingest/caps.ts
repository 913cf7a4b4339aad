/**
 * What happens when the bus is slower than the clients. A message is handed to the broker only if there is room for it;
 * else its client is *throttled*: a little more is read, so that its pings are answered, then its socket is not, and TCP
 * makes it wait. Once three quarters of what all clients may hold are used, each may hold only its share, so that a few
 * cannot take the room of the others. At the cap of all clients QoS 0 is dropped and counted instead, new clients are
 * refused (CONNACK 3), and the gateway is not ready; who is below its share still goes on, so that all together hold at
 * most twice the cap.
 */
import type { GatewayLedger } from '../../core/ledger.ts';
import type { GatewayOptions } from '../options.ts';
import { type FrameRun, splitRun } from '../packets/frames.ts';
import { packetType } from '../packets/packets.ts';
import type { AckQueue, Total } from './acks.ts';

export type HeldLimits = Pick<
  GatewayOptions,
  'maxHeldMessages' | 'maxHeldBytes' | 'maxHeldMessagesPerClient' | 'maxHeldBytesPerClient'
>;

/** The part of the caps that clients may use up as they come; from there on each has its share. */
const crowdedFrom = 0.75;

/** A client as the caps see it. */
export interface Throttled {
  readonly acks: AckQueue;
  readonly reader: { resume(): void };
}

export class Caps {
  readonly #limits: HeldLimits;
  readonly #ledger: GatewayLedger;
  /** Who waits for room, and for how many bytes; longest waiting first. */
  readonly #throttled = new Map<Throttled, number>();
  /** Accepted clients, among whom the caps are shared out. */
  clients = 0;
  heldBytes = 0;
  /** Also of what is not held: copies of QoS 2 messages, and what waits for its turn to be acknowledged. */
  readonly acks: Total = { messages: 0 };
  /** How often a client was throttled. */
  throttledTimes = 0;

  constructor(limits: HeldLimits, ledger: GatewayLedger) {
    this.#limits = limits;
    this.#ledger = ledger;
  }

  /** The cap of all clients is reached. */
  get isFull(): boolean {
    return this.#ledger.held >= this.#limits.maxHeldMessages || this.heldBytes >= this.#limits.maxHeldBytes;
  }

  /** Cuts a run before the first message for which there is no room; throttles the client if that is its first packet. */
  admit(client: Throttled, run: FrameRun): readonly [FrameRun | null, FrameRun | null] {
    if (run.messages === 0 || this.#hasRoom(client.acks, run.messages, run.bytes.length)) return [run, null];
    let messages = 0;
    let bytes = 0;
    const [passed, rest] = splitRun(run, (firstByte, packetBytes) => {
      // At the cap a message of QoS 0 needs no room: it is dropped.
      const isQos0 = (firstByte & 0x06) === 0;
      if (firstByte >> 4 !== packetType.publish || (isQos0 && this.isFull)) return true;
      messages++;
      bytes += packetBytes;
      return this.#hasRoom(client.acks, messages, bytes);
    });
    if (passed === null) this.#throttle(client, bytes);
    return [passed, rest];
  }

  /** After messages became durable: lets clients go on, the longest waiting first, for whom there is room. */
  resume(): void {
    let left = this.#throttled.size;
    for (const [client, bytes] of this.#throttled) {
      // Who is throttled again meanwhile stands at the end of the line.
      if (left-- === 0) return;
      if (!this.#hasRoom(client.acks, 1, bytes)) continue;
      this.#throttled.delete(client);
      client.reader.resume();
    }
  }

  forget(client: Throttled): void {
    this.#throttled.delete(client);
  }

  #throttle(client: Throttled, bytes: number): void {
    if (!this.#throttled.has(client)) this.throttledTimes++;
    this.#throttled.set(client, bytes);
  }

  /** For so many messages more of one client, of so many bytes together. */
  #hasRoom(acks: AckQueue, messages: number, bytes: number): boolean {
    const { maxHeldMessages, maxHeldBytes, maxHeldMessagesPerClient, maxHeldBytesPerClient } = this.#limits;
    const held = Math.max(this.#ledger.held, this.acks.messages);
    const ownMessages = acks.messages + messages;
    const ownBytes = acks.bytes + bytes;
    const fits = held + messages <= maxHeldMessages && this.heldBytes + bytes <= maxHeldBytes;
    // Alone it may be larger than what one client may hold.
    if (fits && ownMessages === 1) return true;
    if (ownMessages > maxHeldMessagesPerClient || ownBytes > maxHeldBytesPerClient) return false;
    const isCrowded = held >= crowdedFrom * maxHeldMessages || this.heldBytes >= crowdedFrom * maxHeldBytes;
    if (!isCrowded) return fits;
    return ownMessages <= this.#share(maxHeldMessages) && ownBytes <= this.#share(maxHeldBytes);
  }

  #share(cap: number): number {
    return Math.max(1, Math.floor(cap / Math.max(1, this.clients)));
  }
}
