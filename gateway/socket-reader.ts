/**
 * Stands between a socket and the broker, which only ever calls `read()` on its connection: hands it whole packets, and
 * nothing while the client is throttled. Reads ahead, bounded, so that a PINGREQ behind held messages is seen; past
 * the bound the socket is not read, and TCP tells the client to wait.
 */
import type { Socket } from 'node:net';
import { FrameError, FrameReader, type FrameRun } from './frames.ts';

const maxReadAheadBytes = 64 * 1024;
const pingresp = Buffer.from([0xd0, 0x00]);

export interface SocketReaderContext {
  readonly maxPacketBytes: number;
  /** Whether the gateway may take bytes into memory that the broker has not asked for. */
  readonly mayReadAhead: () => boolean;
  /** A PUBREL is about to be handed to the broker, after everything the client sent before it. */
  readonly onPubrel: (packetId: number) => void;
}

export class SocketReader {
  readonly #socket: Socket;
  readonly #context: SocketReaderContext;
  readonly #frames: FrameReader;
  readonly #readSocket: (size?: number) => Buffer | null;
  #runs: FrameRun[] = [];
  #waitingBytes = 0;
  #state: 'new' | 'connecting' | 'accepted' = 'new';
  #isThrottled = false;

  constructor(socket: Socket, context: SocketReaderContext) {
    this.#socket = socket;
    this.#context = context;
    this.#frames = new FrameReader(context.maxPacketBytes, () => this.#answerPing());
    this.#readSocket = socket.read.bind(socket);
    // `read(0)` is the stream's own: it looks for more, and tells the end when there is none.
    socket.read = (size?: number) => (size === 0 ? this.#lookForMore() : this.#next());
    socket.on('readable', () => this.#readAhead());
  }

  get isThrottled(): boolean {
    return this.#isThrottled;
  }

  /** The client said goodbye: that its connection ends is no fault. */
  get sawDisconnect(): boolean {
    return this.#frames.sawDisconnect;
  }

  /** The client may send more than its CONNECT. */
  accept(): void {
    this.#state = 'accepted';
    this.#frames.answersPings = true;
  }

  /** The broker gets nothing more of this client until `resume`. */
  throttle(): void {
    this.#isThrottled = true;
  }

  resume(): void {
    this.#isThrottled = false;
    // Makes the broker ask again: without new bytes the socket would stay silent.
    if (!this.#socket.destroyed) this.#socket.emit('readable');
  }

  #next(): Buffer | null {
    if (this.#isThrottled || this.#state === 'connecting') return null;
    if (this.#runs.length === 0) this.#readAhead();
    const run = this.#runs.shift();
    // Reading from an empty socket is what makes it tell its end: not before everything was handed on.
    if (run === undefined) return this.#readSocket();
    this.#waitingBytes -= run.bytes.length;
    if (this.#state === 'new') this.#state = 'connecting';
    if (run.pubrel !== null) this.#context.onPubrel(run.pubrel);
    this.#readAhead();
    return run.bytes;
  }

  #lookForMore(): null {
    if (this.#runs.length === 0) this.#readSocket(0);
    return null;
  }

  #readAhead(): void {
    const socket = this.#socket;
    while (socket.readableLength > 0 && !socket.destroyed && this.#mayRead()) {
      // With its size: reading `null` would also take the end of the stream, see above.
      const chunk = this.#readSocket(socket.readableLength);
      if (chunk === null) return;
      try {
        const before = this.#runs.length;
        this.#frames.read(chunk, this.#runs);
        for (let i = before; i < this.#runs.length; i++) this.#waitingBytes += this.#runs[i]!.bytes.length;
      } catch (error) {
        if (!(error instanceof FrameError)) throw error;
        this.#runs = [];
        this.#waitingBytes = 0;
        socket.destroy(error);
      }
    }
  }

  #mayRead(): boolean {
    return this.#runs.length === 0 || (this.#waitingBytes < maxReadAheadBytes && this.#context.mayReadAhead());
  }

  #answerPing(): void {
    // A client that does not read its answers must not fill our memory with them.
    if (!this.#socket.writableNeedDrain) this.#socket.write(pingresp);
  }
}
