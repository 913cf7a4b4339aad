/**
 * What happens when the bus is slower than the clients. Over a cap a client is *throttled*: its socket is not read, and
 * TCP makes it wait; what it had sent already is kept. Over the cap of all clients QoS 0 is dropped and counted instead,
 * new clients are refused (CONNACK 3), and the gateway is not ready.
 */
import type { GatewayLedger } from '../core/ledger.ts';
import type { AckQueue } from './acks.ts';
import type { GatewayOptions } from './options.ts';

/** A client as the caps see it. */
export interface Throttled {
  readonly acks: AckQueue;
  readonly reader: { throttle(): void; resume(): void };
}

export class Caps {
  readonly #options: GatewayOptions;
  readonly #ledger: GatewayLedger;
  /** Longest waiting first. */
  readonly #throttled = new Set<Throttled>();
  heldBytes = 0;
  /** How often a client was throttled. */
  throttledTimes = 0;

  constructor(options: GatewayOptions, ledger: GatewayLedger) {
    this.#options = options;
    this.#ledger = ledger;
  }

  /** The cap of all clients is reached. */
  get isFull(): boolean {
    return this.#ledger.held >= this.#options.maxHeldMessages || this.heldBytes >= this.#options.maxHeldBytes;
  }

  /** After a message of the client was taken. */
  check(client: Throttled, qos: number): void {
    if (!this.#isOver(client.acks) && (qos === 0 || !this.isFull)) return;
    if (this.#throttled.has(client)) return;
    this.#throttled.add(client);
    this.throttledTimes++;
    client.reader.throttle();
  }

  /** After messages became durable: lets clients go on, the longest waiting first, while there is room. */
  resume(): void {
    let left = this.#throttled.size;
    for (const client of this.#throttled) {
      // Who is throttled again meanwhile stands at the end of the line.
      if (left-- === 0 || this.isFull) return;
      if (this.#isOver(client.acks)) continue;
      this.#throttled.delete(client);
      client.reader.resume();
    }
  }

  forget(client: Throttled): void {
    this.#throttled.delete(client);
  }

  #isOver({ messages, bytes }: AckQueue): boolean {
    const { maxHeldMessagesPerClient, maxHeldBytesPerClient } = this.#options;
    return messages >= maxHeldMessagesPerClient || bytes >= maxHeldBytesPerClient;
  }
}
