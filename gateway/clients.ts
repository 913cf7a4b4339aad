/** The clients that are connected, and what becomes of what they send: what the broker asks its hooks, answered. */
import type { Socket } from 'node:net';
import type { Clock } from '../core/clock.ts';
import { AckQueue, type Release } from './acks.ts';
import { isAllowed } from './auth.ts';
import { type BrokerHooks, connack, type Refusal } from './broker.ts';
import { Connection } from './connection.ts';
import type { Ingest } from './ingest.ts';
import type { GatewayOptions } from './options.ts';
import type { Presence } from './presence.ts';
import { Qos2Sessions } from './qos2.ts';
import type { Publish } from './records.ts';

const sweepEveryMs = 1000;

export interface ClientsContext {
  readonly options: GatewayOptions;
  readonly ingest: Ingest;
  readonly presence: Presence;
  readonly clock: Clock;
}

export class Clients implements BrokerHooks {
  readonly #options: GatewayOptions;
  readonly #ingest: Ingest;
  readonly #presence: Presence;
  readonly #clock: Clock;
  readonly #qos2 = new Qos2Sessions();
  readonly #open = new Set<Connection>();
  /** Also those that ended: their will comes afterwards. */
  readonly #known = new WeakMap<object, Connection>();
  /** Wills of clients that are not known. */
  readonly #strangers = new AckQueue();
  #isDraining = false;
  #stopSweep: () => void = () => {};

  constructor({ options, ingest, presence, clock }: ClientsContext) {
    this.#options = options;
    this.#ingest = ingest;
    this.#presence = presence;
    this.#clock = clock;
  }

  start(): void {
    this.#stopSweep = this.#clock.every(sweepEveryMs, () => this.#endSilent());
  }

  /** Before the broker gets the socket. */
  add(socket: Socket): void {
    const { caps } = this.#ingest;
    const mayReadAhead = () => !caps.isFull;
    const connection = new Connection(socket, this.#options.maxPacketBytes, this.#clock.nowMs(), mayReadAhead);
    this.#known.set(socket, connection);
    this.#open.add(connection);
    if (this.#isDraining) connection.reader.throttle();
    socket.once('close', () => {
      this.#open.delete(connection);
      caps.forget(connection);
      this.#presence.gone(connection);
    });
  }

  /** Accepts no one any more, and gives the broker nothing more of those who are here. Pings are still answered. */
  drain(): void {
    this.#isDraining = true;
    this.#stopSweep();
    for (const connection of this.#open) {
      this.#ingest.caps.forget(connection);
      connection.reader.throttle();
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

  onConnect(conn: object, { isPersistent, keepaliveMs }: { isPersistent: boolean; keepaliveMs: number }): void {
    const connection = this.#known.get(conn)!;
    const { maxKeepaliveMs } = this.#options;
    connection.isPersistent = isPersistent;
    connection.keepaliveMs = keepaliveMs === 0 ? maxKeepaliveMs : Math.min(keepaliveMs, maxKeepaliveMs);
  }

  refusal(username: string | undefined, password: Buffer | undefined): Refusal | null {
    if (!isAllowed(this.#options.credentials, username, password)) {
      return { returnCode: connack.badCredentials, message: 'bad user name or password' };
    }
    if (this.#isDraining || this.#ingest.caps.isFull) {
      return { returnCode: connack.serverUnavailable, message: 'the gateway takes no clients now' };
    }
    return null;
  }

  onAccepted(conn: object, clientId: string): void {
    const connection = this.#known.get(conn)!;
    connection.accept(clientId, this.#qos2.open(clientId, connection.isPersistent));
  }

  onPublish(conn: object | null, publish: Publish, release: Release): void {
    const connection = conn === null ? undefined : this.#known.get(conn);
    if (connection === undefined) {
      this.#ingest.take(this.#ingest.placeOf(publish.topic, ''), publish, '', this.#strangers, release);
    } else if (publish.qos === 2 && publish.messageId !== undefined) {
      this.#takeOnce(connection, publish, release);
    } else {
      this.#take(connection, publish, release);
    }
    // Retained messages would stay in the broker's memory, and no one may subscribe to them.
    publish.retain = false;
  }

  #takeOnce(connection: Connection, publish: Publish, release: Release): void {
    const taken = connection.qos2.find(publish);
    if (taken !== null) {
      taken.repeat(connection.acks, this.#ingest.nowMs(), release);
      return;
    }
    const ack = this.#take(connection, publish, release);
    if (ack !== null) connection.qos2.add(publish, ack);
  }

  #take(connection: Connection, publish: Publish, release: Release) {
    const ingest = this.#ingest;
    const { acks, clientId, socket } = connection;
    const place = ingest.placeOf(publish.topic, clientId);
    const ack = ingest.take(place, publish, clientId, acks, release);
    if (ack !== null) ingest.caps.check(connection, publish.qos);
    if (place.route !== null && !socket.destroyed) this.#presence.heard(place.key, place.route, connection);
    return ack;
  }

  #endSilent(): void {
    const nowMs = this.#clock.nowMs();
    for (const connection of this.#open) if (connection.isSilent(nowMs)) connection.end('keepalive_timeout');
  }
}
