/**
 * A device's MQTT connection: opened again for as long as it takes, with everything unacknowledged sent again. Each
 * attempt is a new mqtt.js client; this file is the only layer that retries.
 */
import { connect, type MqttClient } from 'mqtt';
import type { Outbox, Transmission } from './outbox.ts';
import type { Random } from './random.ts';

export interface ConnectionSettings {
  readonly broker: string;
  readonly credentials: { readonly username: string; readonly password: string } | null;
  readonly clientId: string;
  readonly qos: 0 | 1 | 2;
  readonly keepaliveSeconds: number;
  readonly connectTimeoutMs: number;
  readonly reconnectMs: number;
  readonly maxReconnectMs: number;
}

export interface ConnectionEvents {
  /** A CONNECT is on its way. */
  opening(): void;
  /** `isFirst`: of this device. */
  connected(isFirst: boolean): void;
  /** An open connection ended, or one could not be opened. */
  lost(wasOpen: boolean, reason: string): void;
  sent(transmission: Transmission, isResend: boolean): void;
  /** PUBACK or PUBCOMP came; once per transmission. Never for QoS 0. */
  acknowledged(transmission: Transmission): void;
  /** Calls `retry` after a delay. */
  retryIn(delayMs: number, retry: () => void): void;
}

export class Connection {
  readonly #settings: ConnectionSettings;
  readonly #outbox: Outbox;
  readonly #events: ConnectionEvents;
  readonly #random: Random;
  #client: MqttClient | null = null;
  #closing: MqttClient | null = null;
  /** Left open by their device, and read no more. At most one for each time it was told to. */
  readonly #abandoned = new Set<MqttClient>();
  #isOpen = false;
  #wasEverOpen = false;
  /** The socket takes no more for now. Only QoS 0 needs to look: the others have their bound in flight. */
  #isFull = false;
  #failures = 0;
  #isOffline = false;
  #isClosed = false;

  constructor(settings: ConnectionSettings, outbox: Outbox, events: ConnectionEvents, random: Random) {
    this.#settings = settings;
    this.#outbox = outbox;
    this.#events = events;
    this.#random = random;
  }

  open(): void {
    if (this.#client !== null || this.#isOffline || this.#isClosed) return;
    const { broker, credentials, clientId, keepaliveSeconds, connectTimeoutMs } = this.#settings;
    const client = connect(broker, {
      protocolVersion: 4,
      clientId,
      ...credentials,
      keepalive: keepaliveSeconds,
      connectTimeout: connectTimeoutMs,
      clean: true,
      reconnectPeriod: 0,
      queueQoSZero: false,
      // Its trace costs even when nobody reads it.
      log: () => {},
    });
    this.#client = client;
    this.#events.opening();
    client.on('connect', () => this.#opened(client));
    client.on('error', (error) =>
      this.#ended(client, error.message || (error as NodeJS.ErrnoException).code || 'error'),
    );
    client.on('close', () => this.#ended(client, 'the connection was closed'));
  }

  /** Sends what waits, as far as it may. */
  pump(): void {
    while (this.#isOpen && !this.#isFull) {
      const sending = this.#outbox.take();
      if (sending === null) return;
      this.#send(this.#client!, sending.transmission, sending.isResend);
    }
  }

  /** Breaks the connection without a word; it is opened again as after any loss. */
  cut(): void {
    if (this.#client !== null) this.#ended(this.#client, 'cut on purpose');
  }

  /** Breaks the connection, and opens none until `goOnline`. */
  goOffline(): void {
    this.#isOffline = true;
    this.cut();
  }

  goOnline(): void {
    this.#isOffline = false;
    this.#failures = 0;
    this.open();
  }

  /** Reads nothing more of what the broker says, and goes on writing. */
  stall(): void {
    this.#client?.stream.pause();
  }

  /** Opens a new connection; the one there is stays open and unread, until the broker or `close` ends it. */
  abandon(): void {
    const client = this.#client;
    if (client === null) return;
    this.#abandoned.add(client);
    client.stream.once('close', () => this.#abandoned.delete(client));
    this.#lose('left open on purpose');
    this.open();
  }

  /** Says DISCONNECT after what was written before it; resolves when the socket is closed. No more attempts follow. */
  async close(): Promise<void> {
    const client = this.#client;
    // What is unanswered would keep an end with DISCONNECT waiting for ever.
    const isPolite = this.#isOpen && this.#outbox.held === 0;
    this.#isClosed = true;
    this.#isOpen = false;
    this.#client = null;
    this.#closing = client;
    for (const abandoned of this.#abandoned) abandoned.end(true);
    await client?.endAsync(!isPolite);
  }

  /** Ends a close that takes too long. */
  destroy(): void {
    this.#closing?.stream.destroy();
  }

  #opened(client: MqttClient): void {
    if (this.#client !== client) return;
    this.#isOpen = true;
    this.#isFull = false;
    this.#failures = 0;
    this.#events.connected(!this.#wasEverOpen);
    this.#wasEverOpen = true;
    this.pump();
  }

  #ended(client: MqttClient, reason: string): void {
    if (this.#client !== client) return;
    client.end(true);
    this.#lose(reason);
    if (this.#isOffline) return;
    const { reconnectMs, maxReconnectMs } = this.#settings;
    const longestMs = Math.min(maxReconnectMs, reconnectMs * 2 ** Math.min(this.#failures, 30));
    this.#failures++;
    this.#events.retryIn(longestMs * (0.5 + this.#random() / 2), () => this.open());
  }

  #lose(reason: string): void {
    const wasOpen = this.#isOpen;
    this.#client = null;
    this.#isOpen = false;
    this.#outbox.connectionLost();
    this.#events.lost(wasOpen, reason);
  }

  #send(client: MqttClient, transmission: Transmission, isResend: boolean): void {
    const { qos } = this.#settings;
    const { topic, payload } = transmission.message;
    this.#events.sent(transmission, isResend);
    if (qos === 0) {
      this.#outbox.settle(transmission);
      this.#isFull = true;
      let isBack = false;
      // Called at once, or when the socket has drained.
      client.publish(topic, payload, { qos }, () => {
        if (this.#client !== client) return;
        this.#isFull = false;
        if (isBack) this.pump();
      });
      isBack = true;
      return;
    }
    client.publish(topic, payload, { qos, dup: isResend }, (error) => {
      // Whatever fails here ends the connection, and the outbox still holds the message.
      if (error || this.#client !== client || !this.#outbox.settle(transmission)) return;
      this.#events.acknowledged(transmission);
      this.pump();
    });
  }
}
