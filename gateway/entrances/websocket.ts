/**
 * MQTT over WebSocket (MQTT 3.1.1 §6): a connection of the HTTP port that asks for `/mqtt` goes through the same door as
 * those of the MQTT port, and comes out as a client like any other.
 */
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { type WebSocket, WebSocketServer } from 'ws';
import type { Clock } from '../../core/clock.ts';
import type { ClosedReason } from '../../core/reasons.ts';
import type { Arrival, Wire } from '../connection/wire.ts';
import { answer } from './answer.ts';
import { socketBufferBytes } from './listener.ts';

const subprotocol = 'mqtt';

/** Whom the stream of a WebSocket tells what a socket would not have. */
export interface WireEvents {
  /** The client is to be closed; `detail`: what exactly was wrong. */
  readonly onViolation: (wire: Wire, because: ClosedReason, detail: string) => void;
  /** Bytes of a message that has not come whole. */
  readonly onUnfinished: (wire: Wire, bytes: number) => void;
}

export interface WebSocketsContext extends WireEvents {
  /** A message of WebSocket may be as long as the longest packet. */
  readonly maxPacketBytes: number;
  /** Anyone is let in: then pages of other sites are not, which would use the browser of someone who can reach us. */
  readonly isOpen: boolean;
  readonly clock: Clock;
  /** Lets a connection in when it is its turn. */
  readonly admit: (socket: Socket, letIn: () => void) => void;
  readonly onArrival: (arrival: Arrival) => void;
}

export class WebSockets {
  readonly #context: WebSocketsContext;
  readonly #server: WebSocketServer;

  constructor(context: WebSocketsContext) {
    this.#context = context;
    this.#server = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      perMessageDeflate: false,
      // Below: a client that does not read its answers must not fill our memory with them.
      autoPong: false,
      maxPayload: context.maxPacketBytes,
      handleProtocols: (offered) => offered.has(subprotocol) && subprotocol,
    });
  }

  /** An HTTP request to upgrade to WebSocket, and what came behind it. */
  upgrade(request: IncomingMessage, head: Buffer): void {
    const problem = this.#problem(request);
    if (problem === null) this.#context.admit(request.socket, () => this.#accept(request, head));
    else answer(request.socket, problem);
  }

  #accept(request: IncomingMessage, head: Buffer): void {
    const { socket } = request;
    const sinceMs = this.#context.clock.nowMs();
    this.#server.handleUpgrade(request, socket, head, (webSocket) => this.#onOpen(webSocket, socket, sinceMs));
  }

  #problem({ headers }: IncomingMessage): string | null {
    const offered = headers['sec-websocket-protocol']?.split(',').map((name) => name.trim()) ?? [];
    // [MQTT-6.0.0-3].
    if (!offered.includes(subprotocol)) return '400 Bad Request';
    const { origin, host } = headers;
    const isForeign = origin !== undefined && hostOf(origin) !== host;
    return this.#context.isOpen && isForeign ? '403 Forbidden' : null;
  }

  #onOpen(webSocket: WebSocket, socket: Socket, sinceMs: number): void {
    const { onArrival, onViolation, onUnfinished } = this.#context;
    const wire = new WebSocketWire(webSocket, socket);
    let isWhole = true;
    let unfinished = 0;
    webSocket.on('message', (_data, isBinary) => {
      isWhole = true;
      // [MQTT-6.0.0-1].
      if (!isBinary) onViolation(wire, 'malformed_packet', 'a WebSocket message that is text');
    });
    webSocket.on('error', ({ message }) => onViolation(wire, 'malformed_packet', `WebSocket: ${message}`));
    webSocket.on('ping', (data) => {
      if (!socket.writableNeedDrain) webSocket.pong(data);
    });
    socket.on('data', ({ length }: Buffer) => {
      unfinished = isWhole ? 0 : unfinished + length;
      isWhole = false;
      onUnfinished(wire, unfinished);
    });
    socket.once('close', () => onUnfinished(wire, 0));
    onArrival({ wire, address: socket.remoteAddress ?? '', sinceMs, certificate: null });
  }
}

/** What a WebSocket carries, as a stream of bytes: its messages and the packets in them need not end together. */
class WebSocketWire extends Duplex implements Wire {
  readonly #webSocket: WebSocket;
  readonly #socket: Socket;

  constructor(webSocket: WebSocket, socket: Socket) {
    super({ readableHighWaterMark: socketBufferBytes, writableHighWaterMark: socketBufferBytes });
    this.#webSocket = webSocket;
    this.#socket = socket;
    webSocket.on('message', (data: Buffer) => {
      if (!this.push(data)) webSocket.pause();
    });
    webSocket.on('close', () => {
      this.push(null);
      // Nobody is there to write to; what was read is still taken.
      this.end();
    });
  }

  get bytesRead(): number {
    return this.#socket.bytesRead;
  }

  get bytesWritten(): number {
    return this.#socket.bytesWritten;
  }

  destroySoon(): void {
    this.end(() => this.#socket.destroySoon());
  }

  override _read(): void {
    this.#webSocket.resume();
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    this.#webSocket.send(chunk, done);
  }

  override _writev(chunks: { chunk: Buffer }[], done: (error?: Error | null) => void): void {
    this.#webSocket.send(Buffer.concat(chunks.map(({ chunk }) => chunk)), done);
  }

  override _final(done: () => void): void {
    this.#webSocket.close();
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#webSocket.terminate();
    done(error);
  }
}

function hostOf(origin: string): string | null {
  return URL.canParse(origin) ? new URL(origin).host : null;
}
