/** One network connection to the broker, from its opening to its end: packets go out whole, short answers come back. */
import type { Socket } from 'node:net';
import type { Dial, SocketHandler } from './endpoint.ts';

/** Packet types of MQTT that a publisher is sent. */
export const answerTypes = { connack: 2, puback: 4, pubrec: 5, pubcomp: 7, pingresp: 13 } as const;

/** Bytes after the two of the head; a packet of any other type or length is none for a publisher. */
const bodyLengths: readonly (number | undefined)[] = Object.assign(new Array<undefined>(16).fill(undefined), {
  [answerTypes.connack]: 2,
  [answerTypes.puback]: 2,
  [answerTypes.pubrec]: 2,
  [answerTypes.pubcomp]: 2,
  [answerTypes.pingresp]: 0,
});

const nothing = Buffer.alloc(0);

export interface LinkHandler {
  /** It can be written to. */
  onReady(): void;
  /** `body`: both bytes as one number, 0 when there are none. */
  onAnswer(type: number, body: number): void;
  /** All answers that have come were given. */
  onPause(): void;
  /** It takes more again. */
  onDrain(): void;
  /** By itself, once, and the last call. */
  onEnd(reason: string): void;
}

export class Link implements SocketHandler {
  readonly #handler: LinkHandler;
  readonly #socket: Socket;
  /** Fewer than four bytes. */
  #rest = nothing;
  #isOver = false;
  #isCorked = false;

  private constructor(dial: Dial, handler: LinkHandler) {
    this.#handler = handler;
    this.#socket = dial(this);
    this.#socket.on('drain', () => this.#onDrain());
    this.#socket.on('error', (error: NodeJS.ErrnoException) => this.#end(error.message || error.code || 'error'));
    this.#socket.on('close', () => this.#end('the connection was closed'));
  }

  static open(dial: Dial, handler: LinkHandler): Link {
    return new Link(dial, handler);
  }

  /** More would only be buffered. */
  get isFull(): boolean {
    return this.#socket.writableNeedDrain;
  }

  /** What is written in one turn of the event loop goes out as one: when the generator is late, that is what it gains by. */
  write(packet: Uint8Array): void {
    if (!this.#isCorked) {
      this.#isCorked = true;
      this.#socket.cork();
      process.nextTick(uncork, this);
    }
    this.#socket.write(packet);
  }

  /** Sends what was written. */
  flush(): void {
    this.#isCorked = false;
    this.#socket.uncork();
  }

  /** Reads no more. */
  stall(): void {
    this.#socket.pause();
  }

  /** Leaves it open, and hears no more of it. */
  abandon(): void {
    this.#isOver = true;
  }

  /** Ends it at once, without a word. */
  destroy(): void {
    this.#isOver = true;
    this.#socket.destroy();
  }

  /** Resolves when all is written and both sides have closed it. */
  close(lastPacket: Uint8Array): Promise<void> {
    this.#isOver = true;
    return new Promise((resolve) => {
      if (this.#socket.destroyed) return resolve();
      this.#socket.once('close', () => resolve());
      this.#socket.end(lastPacket);
    });
  }

  // What its socket calls.

  onConnect(): void {
    if (!this.#isOver) this.#handler.onReady();
  }

  #onDrain(): void {
    if (!this.#isOver) this.#handler.onDrain();
  }

  onRead(chunk: Uint8Array): void {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    let at = 0;
    while (!this.#isOver && bytes.length - at >= 2) {
      const type = bytes[at]! >> 4;
      const length = bodyLengths[type];
      if (length === undefined || bytes[at + 1] !== length) {
        this.#end(`the broker sent what no publisher is sent: packet type ${type}, ${bytes[at + 1]} bytes`);
        return;
      }
      if (bytes.length - at < 2 + length) break;
      this.#handler.onAnswer(type, length === 0 ? 0 : bytes[at + 2]! * 256 + bytes[at + 3]!);
      at += 2 + length;
    }
    this.#rest = at === bytes.length ? nothing : Buffer.from(bytes.subarray(at));
    if (!this.#isOver) this.#handler.onPause();
  }

  #end(reason: string): void {
    if (this.#isOver) return;
    this.destroy();
    this.#handler.onEnd(reason);
  }
}

function uncork(link: Link): void {
  link.flush();
}
