/**
 * What a device has to send and is not yet rid of, in order. Both bounds are its own: how much may be in flight, and how
 * much it holds at all. At the second the newest message is refused.
 */
import type { Message } from './message.ts';

/** One sending of a message on purpose: a message that is doubled has several. */
export interface Transmission {
  /** Numbers what the device was given to send, from 0. */
  readonly order: number;
  readonly message: Message;
  /** When it was to be sent, by the clock; latency counts from here. */
  readonly dueMs: number;
}

export interface Sending {
  readonly transmission: Transmission;
  /** It was sent before, on a connection that was lost. */
  readonly isResend: boolean;
}

export class Outbox {
  readonly #maxInFlight: number;
  readonly #maxHeld: number;
  readonly #onGivenUp: (transmission: Transmission) => void;
  /** By `order`, oldest first. */
  #inFlight = new Map<number, Transmission>();
  #waiting: Transmission[] = [];
  #order = 0;
  /** Everything up to this `order` was sent at least once. */
  #sentUpTo = -1;

  /** `onGivenUp`: it was in flight on a connection that was lost, and the broker has to refuse it: once is enough. */
  constructor(maxInFlight: number, maxHeld: number, onGivenUp: (transmission: Transmission) => void) {
    this.#maxInFlight = maxInFlight;
    this.#maxHeld = maxHeld;
    this.#onGivenUp = onGivenUp;
  }

  get held(): number {
    return this.#inFlight.size + this.#waiting.length;
  }

  /** Takes all of its copies. `false`: there is no room for them, and none was taken. */
  add(message: Message, dueMs: number): boolean {
    if (this.held + message.copies > this.#maxHeld) return false;
    for (let copy = 0; copy < message.copies; copy++) this.#waiting.push({ order: this.#order++, message, dueMs });
    return true;
  }

  /** The next to send, which is then in flight; `null` when none waits or enough are in flight. */
  take(): Sending | null {
    if (this.#inFlight.size >= this.#maxInFlight) return null;
    const transmission = this.#waiting.shift();
    if (transmission === undefined) return null;
    this.#inFlight.set(transmission.order, transmission);
    const isResend = transmission.order <= this.#sentUpTo;
    if (!isResend) this.#sentUpTo = transmission.order;
    return { transmission, isResend };
  }

  /** The receiver has it. `false`: that was known. */
  settle({ order }: Transmission): boolean {
    return this.#inFlight.delete(order);
  }

  /** The connection is gone: what was in flight goes first on the next one. */
  connectionLost(): void {
    const inFlight = [...this.#inFlight.values()];
    this.#inFlight = new Map();
    this.#waiting = [...inFlight.filter((one) => !isToBeRefused(one)), ...this.#waiting];
    for (const transmission of inFlight.filter(isToBeRefused)) this.#onGivenUp(transmission);
  }

  /** The connection is gone, its session is not. `false`: this one, which was in flight, is given up. */
  isKept(transmission: Transmission): boolean {
    if (!isToBeRefused(transmission)) return true;
    this.#inFlight.delete(transmission.order);
    this.#onGivenUp(transmission);
    return false;
  }

  /** Empties it: nothing more is to be sent. */
  giveUp(): void {
    const all = [...this.#inFlight.values(), ...this.#waiting];
    this.#inFlight = new Map();
    this.#waiting = [];
    for (const transmission of all) this.#onGivenUp(transmission);
  }
}

function isToBeRefused({ message }: Transmission): boolean {
  return message.expect.as === 'refused_by_broker';
}
