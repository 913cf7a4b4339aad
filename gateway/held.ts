/** A message that was taken and not yet acknowledged, and the order in which a client's messages are acknowledged. */
import type { NewRecord } from '../bus/port.ts';

export interface Held {
  readonly record: NewRecord;
  readonly bytes: number;
  readonly takenAtMs: number;
  /** Tells the broker that it may acknowledge. Called exactly once, by `AckOrder`. */
  readonly acknowledge: () => void;
  readonly order: AckOrder;
  isDurable: boolean;
}

/**
 * Acknowledgements of one client, in the order in which its messages came [MQTT-4.6.0-2], whichever partition is
 * durable first. Its length is bounded by what the gateway lets one client have in flight.
 */
export class AckOrder {
  #queue: Held[] = [];
  #head = 0;
  #bytes = 0;

  get messages(): number {
    return this.#queue.length - this.#head;
  }

  get bytes(): number {
    return this.#bytes;
  }

  add(held: Held): void {
    this.#queue.push(held);
    this.#bytes += held.bytes;
  }

  /** Acknowledges everything at the front that is durable. */
  release(): void {
    while (this.#head < this.#queue.length && this.#queue[this.#head]!.isDurable) {
      const held = this.#queue[this.#head]!;
      this.#head++;
      this.#bytes -= held.bytes;
      held.acknowledge();
    }
    if (this.#head === this.#queue.length) {
      this.#queue = [];
      this.#head = 0;
    } else if (this.#head > 1024) {
      this.#queue = this.#queue.slice(this.#head);
      this.#head = 0;
    }
  }
}
