/**
 * What a device has to send and is not yet rid of, in order. Both bounds are its own: how much may be in flight, and how
 * much it holds at all. At the second the newest message is refused.
 */
import type { Message } from './device.ts';

export interface Sending {
  readonly message: Message;
  /** It was sent before, on a connection that was lost. */
  readonly isResend: boolean;
}

export class Outbox {
  readonly #maxInFlight: number;
  readonly #maxHeld: number;
  /** By `seq`, oldest first. */
  #inFlight = new Map<number, Message>();
  #waiting: Message[] = [];
  /** Everything up to this `seq` was sent at least once. */
  #sentUpTo = -1;

  constructor(maxInFlight: number, maxHeld: number) {
    this.#maxInFlight = maxInFlight;
    this.#maxHeld = maxHeld;
  }

  get held(): number {
    return this.#inFlight.size + this.#waiting.length;
  }

  /** `false`: it is full, and the message was not taken. */
  add(message: Message): boolean {
    if (this.held >= this.#maxHeld) return false;
    this.#waiting.push(message);
    return true;
  }

  /** The next to send, which is then in flight; `null` when none waits or enough are in flight. */
  take(): Sending | null {
    if (this.#inFlight.size >= this.#maxInFlight) return null;
    const message = this.#waiting.shift();
    if (message === undefined) return null;
    this.#inFlight.set(message.seq, message);
    const isResend = message.seq <= this.#sentUpTo;
    if (!isResend) this.#sentUpTo = message.seq;
    return { message, isResend };
  }

  /** The receiver has it. `false`: that was known. */
  settle(message: Message): boolean {
    return this.#inFlight.delete(message.seq);
  }

  /** The connection is gone: what was in flight goes first on the next one. */
  connectionLost(): void {
    this.#waiting = [...this.#inFlight.values(), ...this.#waiting];
    this.#inFlight = new Map();
  }
}
