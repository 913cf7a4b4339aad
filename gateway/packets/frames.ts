/**
 * Cuts a client's bytes into whole MQTT packets before the broker sees them. A packet over the limit is refused at its
 * header, nothing of its body is kept. PINGREQ is taken out and answered by the caller: the broker does not read while
 * messages are held, and a client that pings must not die of a bus that stalls. So is PUBACK: the broker sends nothing
 * that it could be for.
 */
import { type PacketCheck, packetType } from './packets.ts';
import { Violation } from './violation.ts';

/** Whole packets, one after the other, as the broker will parse them at once. */
export interface FrameRun {
  readonly bytes: Buffer;
  /** PUBLISH packets in it. */
  readonly messages: number;
  /** The packet id when the first packet is a PUBREL, else `null`. A PUBREL always begins a run. */
  readonly pubrel: number | null;
}

const maxLengthBytes = 4;
const smallestPartBytes = 64;
const none = Buffer.alloc(0);

export class FrameReader {
  readonly #check: PacketCheck;
  readonly #onPuback: (packetId: number) => void;
  /** The packet that has not come whole: `#partBytes` in a buffer with room for more. */
  #part: Buffer = none;
  #partBytes = 0;
  /** Bytes that it still lacks, as far as its header is known. */
  #missing = 0;
  /** Where the body of the packet begins whose end was looked for last. */
  #body = 0;
  #isFirst = true;
  /** Until the client is accepted a PINGREQ is left to the broker: the first answer must be the CONNACK [MQTT-3.2.0-1]. */
  answersPings = false;
  sawDisconnect = false;
  /** Whole packets so far. */
  packets = 0;
  /** PINGREQs so far that were taken out. */
  pings = 0;

  constructor(check: PacketCheck, onPuback: (packetId: number) => void = () => {}) {
    this.#check = check;
    this.#onPuback = onPuback;
  }

  /** What the packet that has not come whole takes of memory. */
  get partBytes(): number {
    return this.#part.length;
  }

  /** Appends the packets that are whole now to `runs`. Throws Violation: the connection must be closed. */
  read(chunk: Buffer, runs: FrameRun[]): void {
    if (this.#partBytes > 0) {
      if (chunk.length < this.#missing) {
        this.#append(chunk);
        return;
      }
      chunk = Buffer.concat([this.#part.subarray(0, this.#partBytes), chunk]);
      this.#part = none;
      this.#partBytes = 0;
    }
    const rest = this.#cut(chunk, runs);
    if (rest.length > 0) this.#append(rest);
  }

  /** Copies: a slice would keep everything that was read with it, and single bytes would each cost a buffer. */
  #append(bytes: Buffer): void {
    const needed = this.#partBytes + bytes.length;
    if (needed > this.#part.length) {
      const whole = this.#partBytes + this.#missing;
      const size = Math.max(needed, Math.min(Math.max(2 * needed, smallestPartBytes), whole));
      const larger = Buffer.allocUnsafeSlow(size);
      this.#part.copy(larger, 0, 0, this.#partBytes);
      this.#part = larger;
    }
    bytes.copy(this.#part, this.#partBytes);
    this.#partBytes = needed;
    this.#missing -= bytes.length;
  }

  /** The bytes after the last whole packet. */
  #cut(bytes: Buffer, runs: FrameRun[]): Buffer {
    const firstRun = runs.length;
    let takenOutBytes = 0;
    let runStart = 0;
    let messages = 0;
    let pubrel: number | null = null;
    let at = 0;
    const endRun = (end: number) => {
      if (end > runStart) runs.push({ bytes: bytes.subarray(runStart, end), messages, pubrel });
      runStart = end;
      messages = 0;
      pubrel = null;
    };
    while (at < bytes.length) {
      const end = this.#endOfPacket(bytes, at);
      if (end > bytes.length) {
        // `#append` takes off what is there of it.
        this.#missing = end - at;
        break;
      }
      this.#check.packet(bytes, at, this.#body, end);
      this.packets++;
      const type = bytes[at]! >> 4;
      if (this.#isFirst) {
        // Alone, so that nothing behind it reaches the broker before the client is accepted.
        this.#isFirst = false;
        endRun(end);
      } else if (type === packetType.publish) {
        messages++;
      } else if (type === packetType.pingreq && this.answersPings) {
        endRun(at);
        runStart = end;
        takenOutBytes += end - at;
        this.pings++;
      } else if (type === packetType.puback) {
        endRun(at);
        runStart = end;
        takenOutBytes += end - at;
        this.#onPuback(bytes.readUInt16BE(at + 2));
      } else if (type === packetType.pubrel) {
        endRun(at);
        pubrel = bytes.readUInt16BE(at + 2);
      } else if (type === packetType.disconnect) {
        this.sawDisconnect = true;
      }
      at = end;
    }
    endRun(at);
    // A few small packets must not keep all in memory that was read with them.
    const otherBytes = takenOutBytes + bytes.length - at;
    if (2 * otherBytes > bytes.length) copyRuns(runs, firstRun);
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
      this.#body = at + i + 1;
      this.#check.header(bytes[at]!, 1 + i + length);
      return this.#body + length;
    }
    throw new Violation('malformed_packet', 'a remaining length of more than four bytes');
  }
}

/**
 * Cuts a run before its first packet that `mayPass` says no to. Returns what is before it and the rest, `null` where
 * there is nothing.
 */
export function splitRun(
  run: FrameRun,
  mayPass: (firstByte: number, packetBytes: number) => boolean,
): readonly [FrameRun | null, FrameRun | null] {
  const { bytes, messages, pubrel } = run;
  let passed = 0;
  let at = 0;
  while (at < bytes.length) {
    const end = endOfWhole(bytes, at);
    if (!mayPass(bytes[at]!, end - at)) break;
    if (bytes[at]! >> 4 === packetType.publish) passed++;
    at = end;
  }
  if (at === 0) return [null, run];
  if (at === bytes.length) return [run, null];
  return [
    { bytes: bytes.subarray(0, at), messages: passed, pubrel },
    { bytes: bytes.subarray(at), messages: messages - passed, pubrel: null },
  ];
}

/** The end of a packet that is known to be whole. */
function endOfWhole(bytes: Buffer, at: number): number {
  let length = 0;
  let i = 1;
  do length += (bytes[at + i]! & 0x7f) << (7 * (i - 1));
  while ((bytes[at + i++]! & 0x80) !== 0);
  return at + i + length;
}

function copyRuns(runs: FrameRun[], from: number): void {
  for (let i = from; i < runs.length; i++) {
    const { bytes } = runs[i]!;
    const own = Buffer.allocUnsafeSlow(bytes.length);
    bytes.copy(own);
    runs[i] = { ...runs[i]!, bytes: own };
  }
}
