/**
 * Stands between a socket and the broker, which only ever calls `read()` on its connection: hands it whole packets, as
 * many as there is room for. Reads ahead, bounded, so that a PINGREQ behind held messages is seen; past the bound, and
 * while its client is slowed, the socket is not read, and TCP tells the client to wait.
 */
import type { Duplex } from 'node:stream';
import type { Clock } from '../../core/clock.ts';
import { FrameReader, type FrameRun } from '../packets/frames.ts';
import type { PacketCheck } from '../packets/packets.ts';
import { Violation } from '../packets/violation.ts';
import type { Pace } from './pace.ts';
import type { ReadAhead, Sender } from './read-ahead.ts';

const maxReadAheadBytes = 64 * 1024;
/** What the broker is given more of when all clients together have as much waiting as they may. */
const smallReadBytes = 4 * 1024;
/** What a run costs beside its bytes: many small ones must not be free. */
const runOverheadBytes = 256;
const pingresp = Buffer.from([0xd0, 0x00]);

export interface SocketReaderContext {
  readonly check: PacketCheck;
  readonly pace: Pace;
  readonly readAhead: ReadAhead;
  readonly clock: Clock;
  /** As `readAhead` knows this one. */
  readonly sender: Sender;
  /**
   * Cuts a run into what may be handed to the broker now and the rest, each `null` when there is nothing of it. When all
   * has to wait, `resume` is called once there may be room: `caps.ts`.
   */
  readonly admit: (run: FrameRun) => readonly [FrameRun | null, FrameRun | null];
  /** The client has sent more than it may in this time, and is not read for a while. */
  readonly onSlowed: () => void;
  /** A PUBREL is about to be handed to the broker, after everything the client sent before it. */
  readonly onPubrel: (packetId: number) => void;
  /** A PUBACK came; what the client sent before it may still wait. */
  readonly onPuback: (packetId: number) => void;
  /** The client is to be closed. */
  readonly onViolation: (violation: Violation) => void;
}

export class SocketReader {
  readonly #socket: Duplex;
  readonly #context: SocketReaderContext;
  readonly #frames: FrameReader;
  readonly #readSocket: (size?: number) => Buffer | null;
  #runs: FrameRun[] = [];
  #waitingBytes = 0;
  #state: 'new' | 'connecting' | 'accepted' | 'stopped' | 'refused' = 'new';
  /** While its client is slowed. */
  #pause: AbortController | null = null;
  /** While the broker parses what it was given. */
  #isParsing = false;
  #askedMeanwhile = false;

  constructor(socket: Duplex, context: SocketReaderContext) {
    this.#socket = socket;
    this.#context = context;
    this.#frames = new FrameReader(context.check, context.onPuback);
    this.#readSocket = socket.read.bind(socket);
    // `read(0)` is the stream's own: it looks for more, and tells the end when there is none.
    socket.read = (size?: number) => (size === 0 ? this.#lookForMore() : this.#next());
    socket.on('readable', () => this.#read(false));
    socket.on('drain', () => this.resume());
    socket.once('close', () => {
      this.#discard();
      this.#pause?.abort();
    });
  }

  /** Something that the client has sent waits here: who is not read is not silent. */
  get hasWaiting(): boolean {
    return this.#runs.length > 0 || this.#socket.readableLength > 0;
  }

  /** The client said goodbye: that its connection ends is no fault. */
  get sawDisconnect(): boolean {
    return this.#frames.sawDisconnect;
  }

  /** The client may send more than its CONNECT. */
  accept(): void {
    if (this.#state === 'connecting') this.#state = 'accepted';
    this.#frames.answersPings = true;
  }

  /** The broker gets nothing more of this client; its pings are answered. */
  stop(): void {
    this.#state = 'stopped';
  }

  /** Makes the broker ask again: without new bytes the socket would stay silent. */
  resume(): void {
    if (!this.#socket.destroyed) this.#socket.emit('readable');
  }

  #next(): Buffer | null {
    const state = this.#state;
    if (state !== 'new' && state !== 'accepted') return null;
    if (this.#isParsing) {
      this.#askedMeanwhile = true;
      return null;
    }
    // The broker writes acknowledgements without a look at whether they are read: at `drain` it asks again.
    if (this.#socket.writableNeedDrain) return null;
    if (this.#runs.length === 0) this.#read(true);
    if (this.#runs.length === 0) return this.#readEnd();
    const run = this.#take();
    if (run === null) return null;
    if (state === 'new') this.#state = 'connecting';
    if (run.pubrel !== null) this.#context.onPubrel(run.pubrel);
    this.#read(false);
    this.#isParsing = true;
    process.nextTick(this.#onParsed);
    return run.bytes;
  }

  /**
   * A message of QoS 0 is done as soon as it is taken, and the broker asks for more while its parser is in the middle of
   * what it has: given more then, it would take one packet for another.
   */
  readonly #onParsed = (): void => {
    this.#isParsing = false;
    if (!this.#askedMeanwhile) return;
    this.#askedMeanwhile = false;
    this.resume();
  };

  /** As much of the first run as may be handed on. */
  #take(): FrameRun | null {
    const [run, rest] = this.#context.admit(this.#runs[0]!);
    if (run === null) return null;
    if (rest === null) this.#runs.shift();
    else this.#runs[0] = rest;
    this.#countWaiting(-run.bytes.length - (rest === null ? runOverheadBytes : 0));
    return run;
  }

  /** Reading from an empty socket is what makes it tell its end: not before everything was handed on. */
  #readEnd(): Buffer | null {
    return this.#socket.readableLength === 0 ? this.#readSocket() : null;
  }

  #lookForMore(): null {
    if (this.#runs.length === 0) this.#readSocket(0);
    return null;
  }

  #read(isAsked: boolean): void {
    const socket = this.#socket;
    while (socket.readableLength > 0 && !socket.destroyed && this.#pause === null && this.#mayRead(isAsked)) {
      const size = this.#context.readAhead.isFull ? smallReadBytes : socket.readableLength;
      // With its size: reading `null` would also take the end of the stream, see above.
      const chunk = this.#readSocket(Math.min(size, socket.readableLength));
      if (chunk === null) return;
      this.#parse(chunk);
    }
  }

  /** `isAsked`: by the broker, which waits for at least one packet. */
  #mayRead(isAsked: boolean): boolean {
    // Of someone who is not known yet no more than the CONNECT.
    if (isAsked || this.#state === 'new') return this.#runs.length === 0 && this.#state !== 'refused';
    if (this.#state === 'connecting' || this.#state === 'refused') return false;
    return this.#waitingBytes < maxReadAheadBytes && !this.#context.readAhead.isFull;
  }

  #parse(chunk: Buffer): void {
    const { readAhead, sender, pace, clock, onViolation } = this.#context;
    const frames = this.#frames;
    const { packets, pings } = frames;
    const before = this.#runs.length;
    try {
      frames.read(chunk, this.#runs);
    } catch (error) {
      if (!(error instanceof Violation)) throw error;
      this.#discard();
      this.#state = 'refused';
      onViolation(error);
      return;
    }
    for (let i = before; i < this.#runs.length; i++) {
      this.#countWaiting(this.#runs[i]!.bytes.length + runOverheadBytes);
    }
    readAhead.unfinished(sender, frames.partBytes, frames.packets > packets);
    this.#answerPings(frames.pings - pings);
    const pauseMs = pace.took(frames.packets - packets, chunk.length, clock.nowMs());
    if (pauseMs > 0) this.#slow(pauseMs);
  }

  #answerPings(count: number): void {
    // A client that does not read its answers must not fill our memory with them.
    if (count === 0 || this.#socket.writableNeedDrain) return;
    this.#socket.write(count === 1 ? pingresp : Buffer.alloc(count * pingresp.length, pingresp));
  }

  #slow(pauseMs: number): void {
    const pause = new AbortController();
    this.#pause = pause;
    this.#context.onSlowed();
    void this.#context.clock.sleep(pauseMs, pause.signal).then(() => {
      this.#pause = null;
      this.resume();
    });
  }

  #countWaiting(bytes: number): void {
    this.#waitingBytes += bytes;
    this.#context.readAhead.waitingBytes += bytes;
  }

  #discard(): void {
    this.#runs = [];
    this.#countWaiting(-this.#waitingBytes);
    this.#context.readAhead.unfinished(this.#context.sender, 0, false);
  }
}
