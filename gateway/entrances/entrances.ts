/**
 * The ways in: MQTT over TCP, over TLS, over WebSocket. All lead through one admission, so that limits hold for them
 * together, and each ends with a client that may send its CONNECT.
 */
import type { IncomingMessage } from 'node:http';
import type { Server, Socket } from 'node:net';
import type { Clock } from '../../core/clock.ts';
import type { Logger } from '../../core/log.ts';
import type { GatewayStatus } from '../../core/status.ts';
import { isOpen } from '../auth.ts';
import type { Closed } from '../closed.ts';
import type { Arrival } from '../connection/wire.ts';
import type { GatewayOptions } from '../options.ts';
import { Admission } from './admission.ts';
import { type Address, addressOf, listen } from './listener.ts';
import { TlsHandshakes } from './tls.ts';
import { WebSockets, type WireEvents } from './websocket.ts';

export interface EntrancesContext extends WireEvents {
  readonly options: GatewayOptions;
  readonly closed: Closed;
  readonly clock: Clock;
  readonly log: Logger;
  /** Of an address from which no login would be tried now. */
  readonly isTurnedAway: (address: string) => boolean;
  readonly onArrival: (arrival: Arrival) => void;
}

export class Entrances {
  readonly #context: EntrancesContext;
  readonly #admission: Admission;
  readonly #handshakes: TlsHandshakes | null;
  readonly #webSockets: WebSockets;
  #tcp: Server | null = null;
  #tls: Server | null = null;

  private constructor(context: EntrancesContext, handshakes: TlsHandshakes | null) {
    this.#context = context;
    this.#admission = new Admission(context);
    this.#handshakes = handshakes;
    this.#webSockets = new WebSockets({
      ...context,
      maxPacketBytes: context.options.maxPacketBytes,
      isOpen: isOpen(context.options),
      admit: (socket, letIn) => this.#admission.open(socket, letIn),
    });
  }

  /** Listens nowhere yet. Rejects with CONFIG_INVALID when the certificates cannot be used. */
  static async open(context: EntrancesContext): Promise<Entrances> {
    const { options, closed, clock, log, onArrival } = context;
    const { connectTimeoutMs, tls } = options;
    const { cert, key } = tls;
    if (cert === undefined || key === undefined) return new Entrances(context, null);
    const files = { ...tls, cert, key };
    const handshakes = await TlsHandshakes.open({ files, connectTimeoutMs, closed, clock, log, onArrival });
    return new Entrances(context, handshakes);
  }

  /** Rejects with LISTEN_FAILED when an address is taken; then it listens nowhere. */
  async listen(): Promise<void> {
    const { options, closed, log } = this.#context;
    const { host, maxConnections, port, tls } = options;
    const shared = { host, maxConnections, closed, log };
    const tcp = { what: 'MQTT', variable: 'SLUICE_MQTT_PORT', port };
    this.#tcp = await listen({ ...shared, ...tcp, onSocket: (socket) => this.#onTcp(socket) });
    const handshakes = this.#handshakes;
    if (handshakes === null) return;
    const over = { what: 'MQTT over TLS', variable: 'SLUICE_MQTT_TLS_PORT', port: tls.port };
    const onSocket = (socket: Socket) => {
      // A certificate is no guess.
      const mayShowCertificate = tls.ca !== undefined;
      if (mayShowCertificate || !this.#isTurnedAway(socket)) {
        this.#admission.open(socket, () => handshakes.begin(socket));
      }
    };
    try {
      this.#tls = await listen({ ...shared, ...over, onSocket });
    } catch (error) {
      this.#tcp.close();
      throw error;
    }
    handshakes.start();
    log.info({ tls: this.tlsAddress() }, 'MQTT over TLS listens');
  }

  /** A request to the HTTP port that asks for MQTT over WebSocket. */
  upgrade(request: IncomingMessage, head: Buffer): void {
    this.#webSockets.upgrade(request, head);
  }

  /** Throws before it listens. */
  address(): Address {
    return addressOf(this.#tcp);
  }

  /** `null`: not over TLS. */
  tlsAddress(): Address | null {
    return this.#tls === null ? null : addressOf(this.#tls);
  }

  warnings(): string[] {
    return this.#handshakes?.warnings() ?? [];
  }

  status(): Pick<GatewayStatus, 'connections' | 'connectsDelayed' | 'mqtt' | 'tls'> {
    const { connections, delayed } = this.#admission;
    const mqtt = this.#tcp?.listening === true ? this.address() : null;
    const tls = this.#tls?.listening === true ? addressOf(this.#tls) : null;
    return {
      connections,
      connectsDelayed: delayed,
      mqtt,
      tls: tls && { ...tls, certificateEndsMs: this.#handshakes!.certificateEndsMs },
    };
  }

  /** Lets no one in any more. */
  close(): void {
    this.#tcp?.close();
    this.#tls?.close();
    this.#admission.close();
    this.#handshakes?.close();
  }

  /** Before anything is read of it: who guesses fast is not worth a CONNACK. */
  #isTurnedAway(socket: Socket): boolean {
    const address = socket.remoteAddress ?? '';
    if (!this.#context.isTurnedAway(address)) return false;
    this.#context.closed.add('too_many_logins', { address });
    socket.destroy();
    return true;
  }

  #onTcp(socket: Socket): void {
    if (this.#isTurnedAway(socket)) return;
    const { clock, onArrival } = this.#context;
    this.#admission.open(socket, () => {
      const address = socket.remoteAddress ?? '';
      onArrival({ wire: socket, address, sinceMs: clock.nowMs(), certificate: null });
    });
  }
}
