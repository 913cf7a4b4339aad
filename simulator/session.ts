/**
 * What a publisher remembers of its MQTT session: which packet id stands for which transmission, and how far QoS 2 has
 * come with it. Bounded by what is in flight.
 */
import type { Transmission } from './outbox.ts';

const maxPacketId = 65_535;

export class Session {
  readonly #inFlight = new Map<number, Transmission>();
  /** Of QoS 2: the receiver has it, and has yet to hear that it may forget its id. Not there below: devices are many. */
  #released: Set<number> | null = null;
  #lastId = 0;

  /** Its packet id. */
  begin(transmission: Transmission): number {
    do {
      this.#lastId = (this.#lastId % maxPacketId) + 1;
    } while (this.#inFlight.has(this.#lastId));
    this.#inFlight.set(this.#lastId, transmission);
    return this.#lastId;
  }

  /** PUBREC came. */
  release(id: number): void {
    if (!this.#inFlight.has(id)) return;
    this.#released ??= new Set();
    this.#released.add(id);
  }

  isReleased(id: number): boolean {
    return this.#released?.has(id) === true;
  }

  /** PUBACK or PUBCOMP came. `null`: nothing is in flight under this id. */
  complete(id: number): Transmission | null {
    const transmission = this.#inFlight.get(id) ?? null;
    this.#inFlight.delete(id);
    this.#released?.delete(id);
    return transmission;
  }

  /** In the order in which they were sent. */
  inFlight(): readonly (readonly [id: number, transmission: Transmission])[] {
    return [...this.#inFlight];
  }

  clear(): void {
    this.#inFlight.clear();
    this.#released = null;
  }
}
