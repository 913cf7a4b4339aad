/** What one client is sent at QoS 1, and what of it is not acknowledged yet. */
import type { Duplex } from 'node:stream';

/** A client that has left so much unacknowledged is sent no more. */
const maxUnacknowledged = 100;
const maxUnacknowledgedBytes = 1024 * 1024;
const maxPacketId = 65_535;
const publishQos1 = 0x32;

export class Outbox {
  readonly #wire: Duplex;
  readonly #waiting = new Map<number, { readonly bytes: number; resolve(isAcknowledged: boolean): void }>();
  #waitingBytes = 0;
  #lastId = 0;
  #isClosed = false;

  constructor(wire: Duplex) {
    this.#wire = wire;
  }

  /** Resolves with whether the client acknowledged it: not, when it is gone before, or acknowledges nothing. */
  send(topic: string, payload: Buffer): Promise<boolean> {
    const isFull = this.#waiting.size >= maxUnacknowledged || this.#waitingBytes >= maxUnacknowledgedBytes;
    if (this.#isClosed || isFull) return Promise.resolve(false);
    const id = this.#nextId();
    return new Promise((resolve) => {
      this.#waiting.set(id, { bytes: payload.length, resolve });
      this.#waitingBytes += payload.length;
      this.#wire.write(publish(id, topic, payload));
    });
  }

  /** A PUBACK came. */
  acknowledged(packetId: number): void {
    this.#settle(packetId, true);
  }

  /** The connection ended. */
  close(): void {
    this.#isClosed = true;
    for (const packetId of [...this.#waiting.keys()]) this.#settle(packetId, false);
  }

  #settle(packetId: number, isAcknowledged: boolean): void {
    const sent = this.#waiting.get(packetId);
    if (sent === undefined) return;
    this.#waiting.delete(packetId);
    this.#waitingBytes -= sent.bytes;
    sent.resolve(isAcknowledged);
  }

  #nextId(): number {
    do this.#lastId = (this.#lastId % maxPacketId) + 1;
    while (this.#waiting.has(this.#lastId));
    return this.#lastId;
  }
}

function publish(id: number, topic: string, payload: Buffer): Buffer {
  const topicBytes = Buffer.from(topic);
  const body = [uint16(topicBytes.length), topicBytes, uint16(id), payload];
  const bytes = body.reduce((sum, { length }) => sum + length, 0);
  return Buffer.concat([Buffer.from([publishQos1, ...remainingLength(bytes)]), ...body]);
}

function uint16(value: number): Buffer {
  return Buffer.from([value >> 8, value & 0xff]);
}

function remainingLength(bytes: number): number[] {
  const low = bytes & 0x7f;
  return bytes < 0x80 ? [low] : [low | 0x80, ...remainingLength(bytes >> 7)];
}
