/** The clients that are connected, and what becomes of what they send: what the broker asks its hooks, answered. */
import type { Socket } from 'node:net';
import type { Clock } from '../core/clock.ts';
import { AckQueue, type Release } from './acks.ts';
import { isAllowed } from './auth.ts';
import { type Asked, type BrokerHooks, connack, type Refusal } from './broker.ts';
import type { Closed } from './closed.ts';
import { Connection, type ConnectionContext } from './connection.ts';
import type { Ingest } from './ingest.ts';
import type { GatewayOptions } from './options.ts';
import type { Presence } from './presence.ts';
import { type PacketIds, Qos2Sessions } from './qos2.ts';
import { ReadAhead } from './read-ahead.ts';
import type { Publish } from './records.ts';

const sweepEveryMs = 1000;

export interface ClientsContext {
  readonly options: GatewayOptions;
  readonly ingest: Ingest;
  readonly presence: Presence;
  readonly closed: Closed;
  readonly clock: Clock;
}

export class Clients implements BrokerHooks {
  readonly readAhead: ReadAhead;
  /** How often a client was slowed: it had sent more than it may in that time. */
  slowedTimes = 0;
  readonly #options: GatewayOptions;
  readonly #ingest: Ingest;
  readonly #presence: Presence;
  readonly #clock: Clock;
  readonly #qos2: Qos2Sessions;
  readonly #connections: ConnectionContext;
  readonly #open = new Set<Connection>();
  /** The newest of each client id. */
  readonly #accepted = new Map<string, Connection>();
  /** Also those that ended: their will comes afterwards. */
  readonly #known = new WeakMap<object, Connection>();
  /** Wills of clients that are not known. */
  readonly #strangers = new AckQueue();
  #isDraining = false;
  #stopSweep: () => void = () => {};

  constructor({ options, ingest, presence, closed, clock }: ClientsContext) {
    this.#options = options;
    this.#ingest = ingest;
    this.#presence = presence;
    this.#clock = clock;
    this.#qos2 = new Qos2Sessions(options);
    this.readAhead = new ReadAhead(options);
    this.#connections = {
      options,
      acks: ingest.caps.acks,
      readAhead: this.readAhead,
      clock,
      admit: (connection, run) => ingest.caps.admit(connection, run),
      onSlowed: () => this.slowedTimes++,
      onClosing: ({ clientId, address }, because, detail) => closed.add(because, { clientId, address }, detail),
    };
  }

  start(): void {
    this.#stopSweep = this.#clock.every(sweepEveryMs, () => this.#closeDead());
  }

  /** Clients that were accepted and are here. */
  get accepted(): number {
    return this.#ingest.caps.clients;
  }

  /** Before the broker gets the socket. */
  add(socket: Socket): void {
    const connection = new Connection(socket, this.#connections);
    this.#known.set(socket, connection);
    this.#open.add(connection);
    socket.once('close', () => this.#onClosed(connection));
  }

  /** Accepts no one any more, and gives the broker nothing more of those who are here. Pings are still answered. */
  drain(): void {
    this.#isDraining = true;
    this.#stopSweep();
    for (const connection of this.#open) {
      this.#ingest.caps.forget(connection);
      connection.reader.stop();
    }
  }

  /** Ends every connection behind what was written to it; resolves when all are closed or the time is over. */
  async end(deadlineMs: number): Promise<void> {
    const closed = [...this.#open].map((connection) => {
      const isClosed = new Promise<void>((resolve) => connection.socket.once('close', () => resolve()));
      connection.end('gateway_closed');
      return isClosed;
    });
    const allClosed = new AbortController();
    await Promise.race([Promise.all(closed), this.#clock.sleep(deadlineMs, allClosed.signal)]);
    allClosed.abort();
  }

  onConnect(conn: object, { clientId, isPersistent, keepaliveMs }: Asked): void {
    const connection = this.#known.get(conn)!;
    const { maxKeepaliveMs } = this.#options;
    connection.clientId = clientId;
    connection.isPersistent = isPersistent;
    connection.keepaliveMs = keepaliveMs === 0 ? maxKeepaliveMs : Math.min(keepaliveMs, maxKeepaliveMs);
  }

  refusal(conn: object, username: string | undefined, password: Buffer | undefined): Refusal | null {
    const connection = this.#known.get(conn)!;
    if (!isAllowed(this.#options.credentials, username, password)) {
      connection.blame('bad_credentials');
      return { returnCode: connack.badCredentials, message: 'bad user name or password' };
    }
    if (this.#isDraining || this.#ingest.caps.isFull) {
      connection.blame(this.#isDraining ? 'gateway_closed' : 'at_capacity');
      return { returnCode: connack.serverUnavailable, message: 'the gateway takes no clients now' };
    }
    return null;
  }

  onAccepted(conn: object, clientId: string): void {
    const connection = this.#known.get(conn)!;
    // It was closed meanwhile.
    if (!this.#open.has(connection)) return;
    this.#accepted.get(clientId)?.blame('taken_over');
    this.#accepted.set(clientId, connection);
    this.#ingest.caps.clients++;
    connection.accept(clientId, this.#qos2.open(clientId, connection.isPersistent));
  }

  onFault(conn: object, message: string): void {
    this.#known.get(conn)?.blame('malformed_packet', message);
  }

  onPublish(conn: object | null, publish: Publish, release: Release): void {
    const connection = conn === null ? undefined : this.#known.get(conn);
    if (connection === undefined) {
      this.#ingest.take(this.#ingest.placeOf(publish.topic, ''), publish, '', this.#strangers, release);
    } else if (publish.qos === 2 && publish.messageId !== undefined && connection.qos2 !== null) {
      this.#takeOnce(connection, connection.qos2, publish, release);
    } else {
      this.#take(connection, publish, release);
    }
  }

  #takeOnce(connection: Connection, qos2: PacketIds, publish: Publish, release: Release): void {
    const taken = qos2.find(publish);
    if (taken !== null) {
      taken.repeat(connection.acks, this.#ingest.nowMs(), release);
    } else if (this.#qos2.mayBegin(qos2, this.accepted)) {
      const ack = this.#take(connection, publish, release);
      if (ack !== null) qos2.add(publish, ack);
    } else {
      connection.blame('too_many_unfinished');
      release(new Error('too many QoS 2 messages without PUBREL'));
    }
  }

  #take(connection: Connection, publish: Publish, release: Release) {
    const ingest = this.#ingest;
    const { acks, clientId, socket } = connection;
    const place = ingest.placeOf(publish.topic, clientId);
    const ack = ingest.take(place, publish, clientId, acks, release);
    if (place.route !== null && !socket.destroyed) this.#presence.heard(place.key, place.route, connection);
    return ack;
  }

  #onClosed(connection: Connection): void {
    const { qos2, clientId } = connection;
    this.#open.delete(connection);
    this.#ingest.caps.forget(connection);
    this.#presence.gone(connection);
    if (qos2 === null) return;
    if (this.#accepted.get(clientId) === connection) this.#accepted.delete(clientId);
    this.#ingest.caps.clients--;
    this.#qos2.close(clientId, qos2);
  }

  /** Who sends no CONNECT in time, or nothing within the keepalive, or reads nothing. */
  #closeDead(): void {
    const nowMs = this.#clock.nowMs();
    const { connectTimeoutMs } = this.#options;
    for (const connection of this.#open) {
      if (connection.qos2 === null) {
        if (nowMs - connection.openedAtMs >= connectTimeoutMs) connection.cut('connect_timeout');
      } else if (connection.isSilent(nowMs)) {
        connection.cut('keepalive_timeout');
      } else if (connection.isNotReading(nowMs)) {
        connection.cut('slow_reader');
      }
    }
  }
}
