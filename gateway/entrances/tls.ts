/**
 * TLS before MQTT: sockets that were let in come out as clients, or are refused. A certificate that a client shows has to
 * be of our authority; whose it is, is its common name. Certificates are read again when they change: who is connected
 * stays.
 */
import { X509Certificate } from 'node:crypto';
import type { Socket } from 'node:net';
import { createSecureContext, createServer, type SecureContextOptions, type Server, type TLSSocket } from 'node:tls';
import type { Clock } from '../../core/clock.ts';
import type { Logger } from '../../core/log.ts';
import type { Closed } from '../closed.ts';
import type { Arrival } from '../connection/wire.ts';
import { Reloaded } from '../identity/reloaded.ts';
import type { GatewayOptions } from '../options.ts';

export interface TlsContext {
  readonly files: GatewayOptions['tls'] & { readonly cert: string; readonly key: string };
  readonly connectTimeoutMs: number;
  readonly closed: Closed;
  readonly clock: Clock;
  readonly log: Logger;
  readonly onArrival: (arrival: Arrival) => void;
}

interface Handshake {
  readonly socket: Socket;
  readonly sinceMs: number;
}

/** What the files say, and until when. */
interface Certificates extends SecureContextOptions {
  readonly endsMs: number;
}

const sweepEveryMs = 1000;
/** Before its end a certificate is something to look at. */
const warnBeforeMs = 14 * 86_400_000;
/** Node's own timeout: longer than ours, which goes by the clock. */
const spareMs = 60_000;

export class TlsHandshakes {
  readonly #context: TlsContext;
  readonly #certificates: Reloaded<Certificates>;
  readonly #server: Server;
  /** Those under way, by remote address and port: Node does not say whose a secure connection was. */
  readonly #open = new Map<string, Handshake>();
  #stopSweep: () => void = () => {};

  private constructor(context: TlsContext, certificates: Reloaded<Certificates>) {
    const { files, connectTimeoutMs } = context;
    this.#context = context;
    this.#certificates = certificates;
    // Listens nowhere: it is given the sockets.
    this.#server = createServer({
      ...certificates.value,
      minVersion: 'TLSv1.2',
      requestCert: files.ca !== undefined,
      // Told apart below: a certificate of someone else is refused also where none is asked for.
      rejectUnauthorized: false,
      handshakeTimeout: connectTimeoutMs + spareMs,
    });
    this.#server.on('secureConnection', (socket) => this.#onSecure(socket));
    this.#server.on('tlsClientError', (error, socket) => this.#onFailed(socket, error.message));
  }

  /** Rejects with CONFIG_INVALID when the certificates cannot be used. */
  static async open(context: TlsContext): Promise<TlsHandshakes> {
    const { clock, log } = context;
    const { cert, key, ca } = context.files;
    const files = [cert, key, ...(ca === undefined ? [] : [ca])];
    const parse = ([cert, key, ca]: readonly Buffer[]): Certificates => {
      const contents = { cert: cert!, key: key!, ...(ca === undefined ? {} : { ca }) };
      createSecureContext(contents);
      // Of a chain the first is ours.
      return { ...contents, endsMs: new X509Certificate(cert!).validToDate.getTime() };
    };
    return new TlsHandshakes(context, await Reloaded.open({ setting: 'mqtt.tls', files, parse, clock, log }));
  }

  start(): void {
    this.#certificates.start((contents) => this.#server.setSecureContext(contents));
    this.#stopSweep = this.#context.clock.every(sweepEveryMs, () => this.#closeLate());
  }

  get certificateEndsMs(): number {
    return this.#certificates.value.endsMs;
  }

  /** What is wrong with the certificates: a change that cannot be used, an end that is near. In words. */
  warnings(): string[] {
    const { problem } = this.#certificates;
    const isNear = this.certificateEndsMs - this.#context.clock.nowMs() < warnBeforeMs;
    const end = `mqtt.tls.cert (${this.#context.files.cert}) ends at ${new Date(this.certificateEndsMs).toISOString()}`;
    return [...(problem === null ? [] : [problem]), ...(isNear ? [end] : [])];
  }

  /** Ends those under way. */
  close(): void {
    this.#certificates.close();
    this.#stopSweep();
    for (const { socket } of this.#open.values()) {
      this.#context.closed.add('gateway_closed', { address: socket.remoteAddress });
      socket.destroy();
    }
  }

  /** A socket that was let in. */
  begin(socket: Socket): void {
    const key = keyOf(socket);
    this.#open.set(key, { socket, sinceMs: this.#context.clock.nowMs() });
    socket.once('close', () => this.#open.delete(key));
    this.#server.emit('connection', socket);
  }

  #onSecure(socket: TLSSocket): void {
    const key = keyOf(socket);
    const handshake = this.#open.get(key);
    this.#open.delete(key);
    // It was given up meanwhile.
    if (handshake === undefined) {
      socket.destroy();
      return;
    }
    const shown = socket.getPeerCertificate().subject;
    const name = shown?.CN;
    if (shown === undefined ? this.#context.files.requireClientCert : !socket.authorized) {
      this.#refuse(socket, shown === undefined ? 'it showed no certificate' : String(socket.authorizationError));
    } else if (shown !== undefined && typeof name !== 'string') {
      this.#refuse(socket, 'a certificate without a common name, or with several');
    } else {
      const certificate = typeof name === 'string' ? name : null;
      const address = socket.remoteAddress ?? '';
      this.#context.onArrival({ wire: socket, address, sinceMs: handshake.sinceMs, certificate });
    }
  }

  #onFailed(socket: TLSSocket, message: string): void {
    // Without an address: it was closed, by its client or by us.
    if (socket.remoteAddress !== undefined) this.#refuse(socket, message);
    else socket.destroy();
  }

  #refuse(socket: Socket, detail: string): void {
    this.#context.closed.add('tls_failed', { address: socket.remoteAddress }, detail);
    socket.destroy();
  }

  #closeLate(): void {
    const { clock, connectTimeoutMs, closed } = this.#context;
    for (const { socket, sinceMs } of this.#open.values()) {
      if (clock.nowMs() - sinceMs < connectTimeoutMs) continue;
      closed.add('connect_timeout', { address: socket.remoteAddress });
      socket.destroy();
    }
  }
}

function keyOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`;
}
