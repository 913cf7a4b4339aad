/** Acknowledgements of one client, released in the order in which its messages came. */

/** What the broker waits for before it acknowledges; an error closes the client. */
export type Release = (error?: Error | null) => void;

const released = () => {};

/** One message that was taken and not yet acknowledged. */
export class Ack {
  readonly queue: AckQueue;
  /** Of the payload. */
  readonly bytes: number;
  readonly takenAtMs: number;
  release: Release;
  isDurable = false;
  next: Ack | null = null;
  #repeats: Ack[] | null = null;
  #isAbandoned = false;

  constructor(queue: AckQueue, bytes: number, takenAtMs: number, release: Release) {
    this.queue = queue;
    this.bytes = bytes;
    this.takenAtMs = takenAtMs;
    this.release = release;
  }

  /** The same message came again, on this or another connection. */
  repeat(queue: AckQueue, takenAtMs: number, release: Release): void {
    const again = queue.add(0, takenAtMs, release);
    if (this.#isAbandoned) {
      again.abandon();
    } else if (this.isDurable) {
      again.settle();
    } else {
      this.#repeats ??= [];
      this.#repeats.push(again);
    }
  }

  /** The message is durable: it is acknowledged as soon as all before it are. Called once. */
  settle(): void {
    this.isDurable = true;
    this.queue.releaseDurable();
    if (this.#repeats === null) return;
    for (const repeat of this.#repeats) repeat.settle();
    this.#repeats = null;
  }

  /** The message will not be durable any more: the broker is told, and what is behind it waits for it no longer. */
  abandon(): void {
    const { release } = this;
    const repeats = this.#repeats ?? [];
    this.release = released;
    this.#repeats = null;
    this.#isAbandoned = true;
    release(new Error('the gateway closes'));
    this.settle();
    for (const repeat of repeats) repeat.abandon();
  }
}

/** Acknowledgements that wait, of all clients. */
export interface Total {
  messages: number;
}

/**
 * [MQTT-4.6.0-2], [MQTT-4.6.0-3]: PUBACK and PUBREC in the order of the PUBLISHes, whichever partition is durable first.
 * Bounded by what the caps let one client have in flight. Each release is called exactly once, also when the client is
 * gone: the broker then finds the connection closed.
 */
export class AckQueue {
  readonly #total: Total;
  messages = 0;
  bytes = 0;
  /** Of its newest message: `turns.ts`. */
  turnMs = 0;
  #head: Ack | null = null;
  #tail: Ack | null = null;

  constructor(total: Total = { messages: 0 }) {
    this.#total = total;
  }

  add(bytes: number, takenAtMs: number, release: Release): Ack {
    const ack = new Ack(this, bytes, takenAtMs, release);
    if (this.#tail === null) this.#head = ack;
    else this.#tail.next = ack;
    this.#tail = ack;
    this.messages++;
    this.#total.messages++;
    this.bytes += bytes;
    return ack;
  }

  /** Acknowledges everything at the front that is durable. */
  releaseDurable(): void {
    while (this.#head?.isDurable === true) {
      const ack = this.#head;
      this.#head = ack.next;
      if (this.#head === null) this.#tail = null;
      this.messages--;
      this.#total.messages--;
      this.bytes -= ack.bytes;
      const { release } = ack;
      // QoS 2 remembers acks until PUBREL: not with all that came after them, nor with their packets.
      ack.next = null;
      ack.release = released;
      release(null);
    }
  }
}
