/**
 * MQTT in. The broker (Aedes) speaks the protocol; its hook `authorizePublish` is the only one that it waits for before
 * it acknowledges, so a message is held there until the bus has it durably.
 */
import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { Aedes, type AuthenticateError, type Client } from 'aedes';
import type { Bus } from '../bus/port.ts';
import type { Clock } from '../core/clock.ts';
import { messageOf, SluiceError } from '../core/errors.ts';
import { count } from '../core/ledger.ts';
import type { Logger } from '../core/log.ts';
import type { GatewayStatus } from '../core/status.ts';
import type { TopicNames } from '../core/topics.ts';
import { checkExposure, isAllowed } from './auth.ts';
import { Connection } from './connection.ts';
import { AckOrder } from './held.ts';
import { Ingest } from './ingest.ts';
import type { GatewayOptions } from './options.ts';
import { Presence } from './presence.ts';
import { RecordMaker } from './records.ts';
import { Ticks } from './ticks.ts';

export interface GatewayContext {
  readonly bus: Bus;
  readonly topics: TopicNames;
  readonly options: GatewayOptions;
  /** Unique per run: `ingest.id` begins with it. */
  readonly instance: string;
  readonly version: string;
  readonly clock: Clock;
  readonly log: Logger;
}

/** What Aedes hands to `authorizePublish`. */
interface Publish {
  readonly topic: string;
  readonly payload: Buffer | string;
  readonly qos: 0 | 1 | 2;
  retain: boolean;
  readonly messageId?: number;
}

type Done = (error?: Error | null) => void;

const serverUnavailable = 3;
const badCredentials = 4;

export class Gateway {
  readonly #context: GatewayContext;
  readonly #connections = new Map<unknown, Connection>();
  /** Wills of clients that are gone: acknowledged to no one, but in order. */
  readonly #wills = new AckOrder();
  #broker: Aedes | null = null;
  #server: Server | null = null;
  #ingest: Ingest | null = null;
  #records: RecordMaker | null = null;
  #presence: Presence | null = null;
  #startedAtMs = 0;
  #isDraining = false;
  #wasFull = false;
  #stopTimers: () => void = () => {};
  #closing: Promise<void> | null = null;

  constructor(context: GatewayContext) {
    this.#context = context;
  }

  async start(): Promise<void> {
    if (this.#server !== null) return;
    const { bus, topics, options, instance, clock, log } = this.#context;
    checkExposure(options);
    this.#startedAtMs = clock.nowMs();
    const partitions = await bus.partitionCount(topics.raw);
    this.#records = new RecordMaker(instance, partitions);
    const onRelease = () => this.#resumeAll();
    this.#ingest = new Ingest({ bus, topics, partitions, options, clock, log, onRelease });
    this.#presence = new Presence(bus, topics.deviceStatus, clock, log);
    this.#presence.start();
    this.#broker = await this.#openBroker();
    this.#server = await this.#listen();
    this.#startTimers(new Ticks(this.#ingest, options.tickAfterMs));
  }

  address(): { host: string; port: number } {
    const address = this.#server?.address();
    if (address === null || typeof address !== 'object') throw new Error('the gateway has not started');
    return { host: address.address, port: address.port };
  }

  /** What stands in the way of taking messages, in words. */
  ready(): string[] {
    if (this.#isDraining) return ['gateway: draining'];
    const full = this.#ingest?.isFull === true ? ['gateway: holds as many messages as it may'] : [];
    return [...full, ...(this.#ingest?.problems() ?? ['gateway: not started'])];
  }

  status(): GatewayStatus {
    const { instance, version, clock } = this.#context;
    const nowMs = clock.nowMs();
    const problems = this.ready();
    const address = this.#server?.listening === true ? this.address() : null;
    return {
      role: 'gateway',
      instance,
      version,
      startedAtMs: this.#startedAtMs,
      atMs: nowMs,
      ready: problems.length === 0,
      problems,
      clients: this.#broker?.connectedClients ?? 0,
      mqtt: address,
      ledger: this.#ingest?.ledger ?? { received: 0, appended: 0, dropped: {}, held: 0 },
      ackMs: this.#ingest?.ackTimes.quantiles(nowMs) ?? null,
    };
  }

  /** Takes no new clients, makes everything held durable, acknowledges it, closes the connections. Idempotent. */
  close(deadlineMs: number): Promise<void> {
    this.#closing ??= this.#drain(deadlineMs);
    return this.#closing;
  }

  async #drain(deadlineMs: number): Promise<void> {
    this.#isDraining = true;
    this.#server?.close();
    const held = (await this.#ingest?.drain(deadlineMs * 0.8)) ?? 0;
    if (held > 0) {
      this.#context.log.warn(
        { held },
        'closing with messages that are not durable; their clients will send them again',
      );
    }
    this.#stopTimers();
    await this.#closeConnections(deadlineMs * 0.1);
    await this.#presence?.close();
    const broker = this.#broker;
    if (broker !== null) await new Promise<void>((resolve) => broker.close(resolve));
  }

  /** Ends sockets behind their last acknowledgement; those whose client does not answer are destroyed. */
  async #closeConnections(deadlineMs: number): Promise<void> {
    const open = [...this.#connections.values()].map(({ socket }) => socket).filter(({ destroyed }) => !destroyed);
    const closed = Promise.all(open.map((socket) => once(socket, 'close').catch(() => {})));
    for (const socket of open) socket.end();
    await Promise.race([closed, this.#context.clock.sleep(deadlineMs)]);
    for (const socket of open) socket.destroy();
  }

  async #openBroker(): Promise<Aedes> {
    const { options, log } = this.#context;
    const broker = await Aedes.createBroker({
      connectTimeout: options.connectTimeoutMs,
      drainTimeout: 5000,
      preConnect: (client, packet, done) => {
        this.#remember(client, packet);
        done(null, true);
      },
      authenticate: (_client, username, password, done) => {
        const refusal = this.#refusal(username, password);
        done(refusal, refusal === null);
      },
      authorizePublish: (client, packet, done) => this.#take(client, packet as Publish, done),
      // Devices publish; consumers read the bus, not the broker: a stalled subscriber would stop all ingest (MQTT 3.1.1 §3.9.3: 0x80).
      authorizeSubscribe: (_client, _subscription, done) => done(null, null),
    });
    const onError = (_client: Client, error: Error) => log.debug({ error: error.message }, 'a client was closed');
    broker.on('clientError', onError);
    broker.on('connectionError', onError);
    return broker;
  }

  async #listen(): Promise<Server> {
    const { host, port, maxConnections } = this.#context.options;
    const server = createServer({ noDelay: true, keepAlive: true, keepAliveInitialDelay: 60_000 }, (socket) =>
      this.#accept(socket),
    );
    server.maxConnections = maxConnections;
    try {
      server.listen(port, host);
      await once(server, 'listening');
    } catch (error) {
      throw new SluiceError(
        'LISTEN_FAILED',
        `MQTT cannot listen on ${host}:${port} (${messageOf(error)}): stop what uses it, or choose another with SLUICE_MQTT_PORT`,
        { cause: error },
      );
    }
    return server;
  }

  #startTimers(ticks: Ticks): void {
    const { clock, options } = this.#context;
    const stops = [
      clock.every(Math.max(100, options.tickAfterMs / 4), () => ticks.append(clock.nowMs())),
      clock.every(1000, () => this.#closeSilent(clock.nowMs())),
    ];
    this.#stopTimers = () => {
      for (const stop of stops) stop();
    };
  }

  #accept(socket: Socket): void {
    const { clock, options } = this.#context;
    const isPaused = () => this.#ingest!.isFull;
    const nowMs = () => clock.nowMs();
    const connection = new Connection(socket, options.maxPacketBytes, clock.nowMs(), isPaused, nowMs);
    this.#connections.set(socket, connection);
    socket.once('close', () => {
      this.#connections.delete(socket);
      const reason = socket.errored === null ? 'disconnected' : 'connection lost';
      this.#presence!.offline(connection.keys, connection, connection.clientId ?? '', reason);
    });
    this.#broker!.handle(socket);
  }

  /** Sessions are always clean, and the keepalive is ours: the broker's would end a client whose messages are held. */
  #remember(client: Client, packet: { clientId: string; clean?: boolean; keepalive?: number }): void {
    const connection = this.#connections.get(client.conn);
    if (connection === undefined) return;
    connection.clientId = packet.clientId;
    connection.keepaliveMs = (packet.keepalive ?? 0) * 1000;
    packet.clean = true;
    packet.keepalive = 0;
  }

  #refusal(username: string | undefined, password: Buffer | undefined): AuthenticateError | null {
    const refuse = (message: string, returnCode: number) => Object.assign(new Error(message), { returnCode });
    if (this.#isDraining || this.#ingest!.isFull) return refuse('the gateway takes no clients now', serverUnavailable);
    if (!isAllowed(this.#context.options.credentials, username, password)) {
      return refuse('bad user name or password', badCredentials);
    }
    return null;
  }

  #take(client: Client | null, packet: Publish, done: Done): void {
    if (packet.topic.startsWith('$')) {
      done(new Error(`topics that begin with $ are the broker's own: ${packet.topic}`));
      return;
    }
    const connection = client === null ? undefined : this.#connections.get(client.conn);
    const ingest = this.#ingest!;
    if (packet.qos === 0 && ingest.isFull) {
      ingest.ledger.received++;
      count(ingest.ledger.dropped, 'qos0_over_cap');
      done();
      return;
    }
    if (packet.qos === 2 && connection !== undefined) this.#takeOnce(connection, client!, packet, done);
    else this.#hold(connection, client, packet, done);
  }

  /**
   * [MQTT-4.3.3-2]: a packet id is taken once until its PUBREL. The broker asks for every copy, also for those that come
   * while the first is held.
   */
  #takeOnce(connection: Connection, client: Client, packet: Publish, done: Done): void {
    const id = packet.messageId!;
    const waiting = connection.qos2.get(id);
    if (waiting === null) {
      done();
    } else if (waiting !== undefined) {
      waiting.push(done);
    } else {
      connection.qos2.set(id, []);
      this.#hold(connection, client, packet, () => {
        const others = connection.qos2.get(id);
        connection.qos2.set(id, null);
        done();
        for (const other of others ?? []) other();
      });
    }
  }

  #hold(connection: Connection | undefined, client: Client | null, packet: Publish, done: Done): void {
    const clientId = client?.id ?? '';
    const record = this.#records!.make(packet, clientId, this.#context.clock.nowMs());
    packet.retain = false;
    this.#ingest!.take(record, connection?.order ?? this.#wills, () => done());
    if (connection !== undefined && record.key !== '' && !connection.keys.has(record.key)) {
      connection.keys.add(record.key);
      this.#presence!.online(record.key, connection, clientId);
    }
  }

  /** Lets clients go on that were at a cap. */
  #resumeAll(): void {
    const isFull = this.#ingest!.isFull;
    for (const connection of this.#connections.values()) {
      if (this.#wasFull || connection.order.messages === 0) connection.resume();
    }
    this.#wasFull = isFull;
  }

  /** [MQTT-3.1.2-24]: one and a half times the keepalive without a word. A client that we do not read is not silent. */
  #closeSilent(nowMs: number): void {
    for (const connection of this.#connections.values()) {
      const { keepaliveMs, lastHeardMs, isThrottled, socket } = connection;
      if (keepaliveMs > 0 && nowMs - lastHeardMs > 1.5 * keepaliveMs && !isThrottled) socket.destroy();
    }
  }
}
