/** The clients that are connected, and what becomes of what they send: what the broker asks its hooks, answered. */
import type { Clock } from '../core/clock.ts';
import { endsWithin } from '../core/deadline.ts';
import type { ClosedReason } from '../core/reasons.ts';
import type { Asked, BrokerHooks, Refusal } from './broker.ts';
import type { Closed } from './closed.ts';
import { Connection, type ConnectionContext } from './connection/connection.ts';
import { ReadAhead } from './connection/read-ahead.ts';
import type { Arrival } from './connection/wire.ts';
import { Access } from './identity/access.ts';
import { any } from './identity/identity.ts';
import type { Logins } from './identity/logins.ts';
import { AckQueue, type Release } from './ingest/acks.ts';
import type { Ingest } from './ingest/ingest.ts';
import { type PacketIds, Qos2Sessions } from './ingest/qos2.ts';
import type { Place, Publish } from './ingest/records.ts';
import type { RareLog } from './log-rarely.ts';
import type { GatewayOptions } from './options.ts';
import { Violation } from './packets/violation.ts';
import type { Presence } from './presence/presence.ts';
import type { Sessions } from './presence/sessions.ts';
import type { Subscribers } from './subscribers.ts';

const sweepEveryMs = 1000;
/** Whose client id comes again so soon is not a device that came back: there are two. */
const contendedWithinMs = 10_000;

export interface ClientsContext {
  readonly options: GatewayOptions;
  readonly ingest: Ingest;
  readonly presence: Presence;
  readonly sessions: Sessions;
  readonly logins: Logins;
  readonly subscribers: Subscribers;
  readonly closed: Closed;
  readonly rareLog: RareLog;
  readonly clock: Clock;
}

export class Clients implements BrokerHooks {
  readonly readAhead: ReadAhead;
  /** How often a client was slowed: it had sent more than it may in that time. */
  slowedTimes = 0;
  readonly #options: GatewayOptions;
  readonly #ingest: Ingest;
  readonly #presence: Presence;
  readonly #sessions: Sessions;
  readonly #logins: Logins;
  readonly #rareLog: RareLog;
  readonly #subscribers: Subscribers;
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

  constructor({ options, ingest, presence, sessions, logins, subscribers, closed, rareLog, clock }: ClientsContext) {
    this.#options = options;
    this.#ingest = ingest;
    this.#presence = presence;
    this.#sessions = sessions;
    this.#rareLog = rareLog;
    this.#logins = logins;
    this.#subscribers = subscribers;
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
    this.#sessions.start((connection) => {
      this.#takeOver(connection);
      connection.wire.destroySoon();
    });
  }

  /** Clients that were accepted and are here. */
  get accepted(): number {
    return this.#ingest.caps.clients;
  }

  /** Before the broker gets the wire. */
  add(arrival: Arrival): void {
    const { wire } = arrival;
    const connection = new Connection(arrival, this.#connections);
    this.#known.set(wire, connection);
    this.#open.add(connection);
    wire.on('error', () => {});
    wire.once('close', () => this.#onClosed(connection));
  }

  /** What its wire finds wrong with what a client sends. */
  onViolation(wire: object, because: ClosedReason, detail: string): void {
    this.#known.get(wire)?.refuse(new Violation(because, detail));
  }

  /** What its wire keeps of a message that has not come whole. */
  onUnfinished(wire: object, bytes: number): void {
    const connection = this.#known.get(wire);
    if (connection !== undefined) this.readAhead.unfinished(connection.wireSender, bytes, false);
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
      const isClosed = new Promise<void>((resolve) => connection.wire.once('close', () => resolve()));
      connection.end('gateway_closed');
      return isClosed;
    });
    await endsWithin(this.#clock, deadlineMs, Promise.all(closed));
  }

  /** Who may what has changed: holds for those who are here, too. Who is no one any more is closed. */
  renewIdentities(): void {
    for (const connection of this.#open) {
      const { access, clientId } = connection;
      if (access === null) continue;
      const identity = this.#logins.renewed(access.identity);
      if (identity === null) connection.end('identity_revoked');
      else if (identity !== access.identity) this.#renew(connection, new Access(identity, clientId));
    }
  }

  onConnect(conn: object, { clientId, isPersistent, keepaliveMs, willTopic }: Asked): void {
    const connection = this.#known.get(conn)!;
    const { maxKeepaliveMs } = this.#options;
    connection.clientId = clientId;
    connection.isPersistent = isPersistent;
    connection.willTopic = willTopic;
    connection.keepaliveMs = keepaliveMs === 0 ? maxKeepaliveMs : Math.min(keepaliveMs, maxKeepaliveMs);
  }

  async login(
    conn: object,
    clientId: string,
    username: string | undefined,
    password: Buffer | undefined,
  ): Promise<Refusal | null> {
    const connection = this.#known.get(conn)!;
    const { address, certificate } = connection;
    const login = await this.#logins.login({ username, password, address, certificate });
    // It was closed meanwhile.
    if (!this.#open.has(connection)) return null;
    const access = 'identity' in login ? new Access(login.identity, clientId) : null;
    const refusal = 'refusal' in login ? login.refusal : this.#refusal(connection, clientId, access!);
    if ('expiresAtMs' in login) connection.expiresAtMs = login.expiresAtMs;
    if (refusal === null) this.#accept(connection, clientId, access!);
    else connection.blame(refusal);
    return refusal;
  }

  onFault(conn: object, message: string): void {
    this.#known.get(conn)?.blame('malformed_packet', message);
  }

  onPublish(conn: object | null, publish: Publish, release: Release): void {
    const connection = conn === null ? undefined : this.#known.get(conn);
    const place = this.#ingest.placeOf(publish.topic, connection?.clientId ?? '');
    if (connection === undefined) {
      this.#ingest.take(place, publish, '', this.#strangers, release);
    } else if (connection.access?.mayPublish(publish.topic, place.route) !== true) {
      connection.blame('not_authorized', `it published to ${publish.topic}`);
      release(new Error('it may not publish to this topic'));
    } else if (publish.qos === 2 && publish.messageId !== undefined && connection.qos2 !== null) {
      this.#takeOnce(connection, connection.qos2, place, publish, release);
    } else {
      this.#take(connection, place, publish, release);
    }
  }

  onSubscribe(conn: object, topic: string, qos: number): boolean {
    const connection = this.#known.get(conn)!;
    // At QoS 0 nobody would know whether it came.
    const isGranted = qos > 0 && connection.access?.maySubscribe(topic) === true && this.#open.has(connection);
    if (isGranted) this.#subscribers.add(topic, connection);
    return isGranted;
  }

  onUnsubscribe(conn: object, topics: readonly string[]): void {
    for (const topic of topics) this.#subscribers.remove(topic, this.#known.get(conn)!);
  }

  #refusal(connection: Connection, clientId: string, access: Access): Refusal | null {
    if (this.#isDraining) return 'gateway_closed';
    if (this.#ingest.caps.isFull) return 'at_capacity';
    const { willTopic } = connection;
    if (willTopic !== null && !access.mayPublish(willTopic, this.#ingest.placeOf(willTopic, clientId).route)) {
      return 'not_authorized';
    }
    // Whoever knows the client id of another must not be able to end its connection.
    const other = this.#accepted.get(clientId)?.access?.identity.user ?? access.identity.user;
    return other === access.identity.user ? null : 'client_id_taken';
  }

  #accept(connection: Connection, clientId: string, access: Access): void {
    const isNamed = connection.clientId !== '';
    const before = this.#accepted.get(clientId);
    // The broker closes it.
    if (before !== undefined) this.#takeOver(before);
    this.#accepted.set(clientId, connection);
    this.#ingest.caps.clients++;
    connection.accept(clientId, access, this.#qos2.open(sessionOf(access, clientId), connection.isPersistent));
    // One that was given an id of its own by the broker is known to nobody else.
    if (isNamed) this.#sessions.opened(connection);
    const { site, device } = access.identity;
    if (site !== null && site !== any && device !== null && device !== any) {
      this.#presence.connected(site, device, connection);
    }
  }

  /** Another connection came with its client id. */
  #takeOver(connection: Connection): void {
    connection.blame('taken_over');
    const { clientId, address, openedAtMs } = connection;
    if (this.#clock.nowMs() - openedAtMs > contendedWithinMs) return;
    this.#rareLog.warn({ clientId, address }, 'two clients with one id end each other; give each device its own');
  }

  #renew(connection: Connection, access: Access): void {
    connection.access = access;
    for (const topic of connection.subscriptions) {
      if (!access.maySubscribe(topic)) this.#subscribers.remove(topic, connection);
    }
  }

  #takeOnce(connection: Connection, qos2: PacketIds, place: Place, publish: Publish, release: Release): void {
    const taken = qos2.find(publish);
    if (taken !== null) {
      taken.repeat(connection.acks, this.#ingest.nowMs(), release);
    } else if (this.#qos2.mayBegin(qos2, this.accepted)) {
      const ack = this.#take(connection, place, publish, release);
      if (ack !== null) qos2.add(publish, ack);
    } else {
      connection.blame('too_many_unfinished');
      release(new Error('too many QoS 2 messages without PUBREL'));
    }
  }

  #take(connection: Connection, place: Place, publish: Publish, release: Release) {
    const { acks, clientId, wire } = connection;
    const ack = this.#ingest.take(place, publish, clientId, acks, release);
    if (place.route !== null && !wire.destroyed) this.#presence.heard(place.key, connection);
    return ack;
  }

  #onClosed(connection: Connection): void {
    const { qos2, access, clientId } = connection;
    this.#open.delete(connection);
    this.#subscribers.forget(connection);
    connection.outbox.close();
    this.#ingest.caps.forget(connection);
    this.#presence.gone(connection);
    if (qos2 === null || access === null) return;
    if (this.#accepted.get(clientId) === connection) this.#accepted.delete(clientId);
    this.#sessions.closed(connection);
    this.#ingest.caps.clients--;
    this.#qos2.close(sessionOf(access, clientId), qos2);
  }

  /** Who sends no CONNECT in time, or nothing within the keepalive, or reads nothing, and whose token has ended. */
  #closeDead(): void {
    const nowMs = this.#clock.nowMs();
    const { connectTimeoutMs } = this.#options;
    for (const connection of this.#open) {
      if (connection.qos2 === null) {
        if (nowMs - connection.openedAtMs >= connectTimeoutMs) connection.cut('connect_timeout');
      } else if (nowMs >= connection.expiresAtMs) {
        connection.end('token_expired');
      } else if (connection.isSilent(nowMs)) {
        connection.cut('keepalive_timeout');
      } else if (connection.isNotReading(nowMs)) {
        connection.cut('slow_reader');
      }
    }
  }
}

/** Of QoS 2: another user with the same client id has another session. */
function sessionOf({ identity }: Access, clientId: string): string {
  return `${identity.user}\n${clientId}`;
}
