/**
 * The frames of one connection, seen before the broker sees them: a packet over the limit is refused at its header, and
 * PINGREQ is answered here, because the broker stops reading while messages are held and would let a client that pings
 * die of a bus that stalls.
 */

/** MQTT 3.1.1 §3.12: PINGREQ is type 12, flags 0, length 0. */
const pingreq = 0xc0;
const longestLengthBytes = 4;

export class FrameError extends Error {}

const expecting = { type: 0, length: 1, body: 2 } as const;

export class FrameReader {
  readonly #maxPacketBytes: number;
  readonly #onPing: () => void;
  #state: (typeof expecting)[keyof typeof expecting] = expecting.type;
  #type = 0;
  #length = 0;
  #lengthBytes = 0;
  #bodyLeft = 0;

  constructor(maxPacketBytes: number, onPing: () => void) {
    this.#maxPacketBytes = maxPacketBytes;
    this.#onPing = onPing;
  }

  /** The bytes without their PINGREQs, `null` when nothing is left. Throws FrameError: the connection must be closed. */
  read(chunk: Buffer): Buffer | null {
    let kept: Buffer[] | null = null;
    let keptUntil = 0;
    let i = 0;
    while (i < chunk.length) {
      if (this.#state === expecting.body) {
        const step = Math.min(this.#bodyLeft, chunk.length - i);
        i += step;
        this.#bodyLeft -= step;
        if (this.#bodyLeft === 0) this.#state = expecting.type;
      } else if (this.#state === expecting.type) {
        this.#begin(chunk[i]!);
        if (this.#type === pingreq) {
          kept ??= [];
          kept.push(chunk.subarray(keptUntil, i));
          keptUntil = i + 1;
        }
        i++;
      } else {
        if (this.#type === pingreq) keptUntil = i + 1;
        this.#lengthByte(chunk[i]!);
        i++;
      }
    }
    if (kept === null && keptUntil === 0) return chunk;
    const parts = [...(kept ?? []), chunk.subarray(keptUntil)].filter((part) => part.length > 0);
    return parts.length === 0 ? null : parts.length === 1 ? parts[0]! : Buffer.concat(parts);
  }

  #begin(type: number): void {
    this.#type = type;
    this.#length = 0;
    this.#lengthBytes = 0;
    this.#state = expecting.length;
  }

  /** [MQTT-2.2.3]: seven bits a byte, least significant first, at most four bytes. */
  #lengthByte(byte: number): void {
    this.#length += (byte & 0x7f) * 2 ** (7 * this.#lengthBytes);
    this.#lengthBytes++;
    if ((byte & 0x80) !== 0) {
      if (this.#lengthBytes === longestLengthBytes)
        throw new FrameError('the remaining length has more than four bytes');
      return;
    }
    if (this.#length + 1 + this.#lengthBytes > this.#maxPacketBytes) {
      throw new FrameError(`a packet of ${this.#length} bytes is over the limit of ${this.#maxPacketBytes}`);
    }
    if (this.#type === pingreq) this.#ping();
    this.#bodyLeft = this.#length;
    this.#state = this.#length === 0 ? expecting.type : expecting.body;
  }

  #ping(): void {
    if (this.#length !== 0) throw new FrameError('a PINGREQ with a body');
    this.#onPing();
  }
}
