/**
 * Cuts a client's bytes into whole MQTT packets before the broker sees them. A packet over the limit is refused at its
 * header, nothing of its body is kept. PINGREQ is taken out and answered by the caller: the broker does not read while
 * messages are held, and a client that pings must not die of a bus that stalls.
 */

/** Whole packets, one after the other, as the broker will parse them at once. */
export interface FrameRun {
  readonly bytes: Buffer;
  /** The packet id when the first packet is a PUBREL, else `null`. A PUBREL always begins a run. */
  readonly pubrel: number | null;
}

export class FrameError extends Error {}

/** First bytes of the packets that matter here: type and flags (MQTT 3.1.1 §2.2). */
const firstByte = { pubrel: 0x62, pingreq: 0xc0, disconnect: 0xe0 } as const;
const maxLengthBytes = 4;
const none = Buffer.alloc(0);

export class FrameReader {
  readonly #maxPacketBytes: number;
  readonly #onPing: () => void;
  /** The packet that has not come whole, in pieces. */
  #pieces: Buffer[] = [];
  /** Bytes that it still lacks, as far as its header is known. */
  #missing = 0;
  #isFirst = true;
  /** Until the client is accepted a PINGREQ is left to the broker: the first answer must be the CONNACK [MQTT-3.2.0-1]. */
  answersPings = false;
  sawDisconnect = false;

  constructor(maxPacketBytes: number, onPing: () => void) {
    this.#maxPacketBytes = maxPacketBytes;
    this.#onPing = onPing;
  }

  /** Appends the packets that are whole now to `runs`. Throws FrameError: the connection must be closed. */
  read(chunk: Buffer, runs: FrameRun[]): void {
    if (this.#pieces.length > 0) {
      this.#pieces.push(chunk);
      this.#missing -= chunk.length;
      if (this.#missing > 0) return;
      chunk = Buffer.concat(this.#pieces);
      this.#pieces = [];
    }
    const rest = this.#cut(chunk, runs);
    if (rest.length > 0) this.#pieces.push(rest);
  }

  /** The bytes after the last whole packet. */
  #cut(bytes: Buffer, runs: FrameRun[]): Buffer {
    let runStart = 0;
    let pubrel: number | null = null;
    let at = 0;
    const endRun = (end: number) => {
      if (end > runStart) runs.push({ bytes: bytes.subarray(runStart, end), pubrel });
      runStart = end;
      pubrel = null;
    };
    while (at < bytes.length) {
      const end = this.#endOfPacket(bytes, at);
      if (end > bytes.length) {
        this.#missing = end - bytes.length;
        break;
      }
      const type = bytes[at]!;
      if (this.#isFirst) {
        // Alone, so that nothing behind it reaches the broker before the client is accepted.
        this.#isFirst = false;
        endRun(end);
      } else if (type === firstByte.pingreq && this.answersPings) {
        if (end - at !== 2) throw new FrameError('a PINGREQ with a body');
        endRun(at);
        runStart = end;
        this.#onPing();
      } else if (type === firstByte.pubrel && end - at === 4) {
        endRun(at);
        pubrel = bytes.readUInt16BE(at + 2);
      } else if (type === firstByte.disconnect) {
        this.sawDisconnect = true;
      }
      at = end;
    }
    endRun(at);
    return at === bytes.length ? none : bytes.subarray(at);
  }

  /** Where the packet at `at` ends; where its header ends at the earliest, when that is not all there. */
  #endOfPacket(bytes: Buffer, at: number): number {
    let length = 0;
    // [MQTT-2.2.3]: seven bits a byte, least significant first, at most four bytes.
    for (let i = 1; i <= maxLengthBytes; i++) {
      const byte = bytes[at + i];
      if (byte === undefined) return at + i + 1;
      length += (byte & 0x7f) * 2 ** (7 * (i - 1));
      if ((byte & 0x80) !== 0) continue;
      const packetBytes = 1 + i + length;
      if (packetBytes > this.#maxPacketBytes) {
        throw new FrameError(`a packet of ${packetBytes} bytes is over the limit of ${this.#maxPacketBytes}`);
      }
      return at + packetBytes;
    }
    throw new FrameError('a remaining length of more than four bytes');
  }
}
