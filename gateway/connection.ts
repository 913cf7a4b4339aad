/**
 * One client's connection: its bytes pass the frame reader, are handed to the broker as it asks for them, and wait here,
 * bounded, while the client is at its cap.
 */
import type { Socket } from 'node:net';
import { FrameError, FrameReader } from './frames.ts';
import { AckOrder } from './held.ts';

/** Caps of one client on what is taken and not yet durable: then its socket is not read (TCP backpressure). */
const maxHeldMessages = 1000;
const maxHeldBytes = 1024 * 1024;
/** Read ahead of the broker, so that a PINGREQ behind held messages is seen. */
const maxReadAheadBytes = 64 * 1024;
const pingresp = Buffer.from([0xd0, 0x00]);

export class Connection {
  readonly socket: Socket;
  readonly order = new AckOrder();
  /** QoS 2 messages between PUBLISH and PUBREL: packet id → what to call when it is durable, `null` when it is. */
  readonly qos2 = new Map<number, (() => void)[] | null>();
  /** Keys this connection spoke for: presence is told once for each. */
  readonly keys = new Set<string>();
  clientId: string | null = null;
  /** 0 = the client asked for none. */
  keepaliveMs = 0;
  lastHeardMs: number;
  #waiting: Buffer[] = [];
  #waitingBytes = 0;
  readonly #frames: FrameReader;
  readonly #isPaused: () => boolean;
  readonly #readSocket: () => Buffer | null;

  /** `isPaused`: nothing is read from any client now. */
  constructor(socket: Socket, maxPacketBytes: number, nowMs: number, isPaused: () => boolean, clock: () => number) {
    this.socket = socket;
    this.lastHeardMs = nowMs;
    this.#isPaused = isPaused;
    this.#frames = new FrameReader(maxPacketBytes, () => this.#answerPing());
    const read = socket.read.bind(socket);
    this.#readSocket = () => {
      const chunk = read() as Buffer | null;
      if (chunk !== null) this.lastHeardMs = clock();
      return chunk;
    };
    // The broker only ever calls `read(null)` on its connection; it gets what the frame reader lets through.
    socket.read = () => this.#next();
    socket.on('readable', () => this.#readAhead());
  }

  /** Whether this client has to wait for what it already sent. */
  get isThrottled(): boolean {
    return this.order.messages >= maxHeldMessages || this.order.bytes >= maxHeldBytes || this.#isPaused();
  }

  /** There may be room again: lets the broker read on. */
  resume(): void {
    if (!this.isThrottled && !this.socket.destroyed) this.socket.emit('readable');
  }

  #next(): Buffer | null {
    if (this.isThrottled) return null;
    if (this.#waiting.length === 0) this.#readAhead();
    if (this.#waiting.length === 0) return null;
    const bytes = this.#waiting.length === 1 ? this.#waiting[0]! : Buffer.concat(this.#waiting);
    this.#waiting = [];
    this.#waitingBytes = 0;
    return bytes;
  }

  #readAhead(): void {
    while (this.#waitingBytes < maxReadAheadBytes && !this.isThrottled && !this.socket.destroyed) {
      const chunk = this.#readSocket();
      if (chunk === null) return;
      try {
        const bytes = this.#frames.read(chunk);
        if (bytes === null) continue;
        this.#waiting.push(bytes);
        this.#waitingBytes += bytes.length;
      } catch (error) {
        if (!(error instanceof FrameError)) throw error;
        this.socket.destroy(error);
      }
    }
  }

  #answerPing(): void {
    // [MQTT-3.1.0-1]: the first packet is a CONNECT.
    if (this.clientId === null) throw new FrameError('a PINGREQ before CONNECT');
    this.socket.write(pingresp);
  }
}
