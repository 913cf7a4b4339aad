/**
 * The protocol: Aedes with the hooks it offers. `authorizePublish` is the only one that it waits for before it
 * acknowledges (its `published` comes after the PUBACK), so that is where a message is held.
 */
import { Aedes, type AuthenticateError, type Client } from 'aedes';
import type { Logger } from '../core/log.ts';
import { type ClosedReason, closedReasons } from '../core/reasons.ts';
import type { Release } from './ingest/acks.ts';
import type { Publish } from './ingest/records.ts';

/** Why a client may not connect, and the return code of the CONNACK that says so (MQTT 3.1.1 §3.2.2.3). */
const returnCodes = {
  client_id_taken: 2,
  at_capacity: 3,
  gateway_closed: 3,
  too_many_logins: 3,
  keys_unavailable: 3,
  bad_credentials: 4,
  not_authorized: 5,
} as const satisfies Partial<Record<ClosedReason, number>>;

export type Refusal = keyof typeof returnCodes;

/** What a CONNECT asked for. */
export interface Asked {
  readonly clientId: string;
  readonly isPersistent: boolean;
  readonly keepaliveMs: number;
  readonly willTopic: string | null;
}

export interface BrokerHooks {
  /** Before the CONNECT is judged. */
  onConnect(conn: object, asked: Asked): void;
  /**
   * Whether the client is accepted; `null`: it is, and the broker closes the connection that had its client id before.
   * Never rejects. When the connection is closed meanwhile, the broker does not look at the answer.
   */
  login(
    conn: object,
    clientId: string,
    username: string | undefined,
    password: Buffer | undefined,
  ): Promise<Refusal | null>;
  /** `conn` is `null` for a will whose client is not known. Calls `release` exactly once. */
  onPublish(conn: object | null, publish: Publish, release: Release): void;
  /** Whether it is granted. */
  onSubscribe(conn: object, topic: string, qos: number): boolean;
  onUnsubscribe(conn: object, topics: readonly string[]): void;
  /** The broker closes the connection for what it sent. */
  onFault(conn: object, message: string): void;
}

/** Of this the gateway takes care itself, by its own clock. */
const longestTimeoutMs = 2 ** 31 - 1;
const nothing = Buffer.alloc(0);

export async function openBroker(hooks: BrokerHooks, log: Logger): Promise<Aedes> {
  const broker = await Aedes.createBroker({
    connectTimeout: longestTimeoutMs,
    drainTimeout: longestTimeoutMs,
    // `qos2.ts` counts them from the moment they come.
    maxInflightInbound: 0,

    preConnect: (client, packet, done) => {
      const keepaliveMs = (packet.keepalive ?? 0) * 1000;
      const { clientId, will } = packet;
      const isPersistent = packet.clean === false;
      hooks.onConnect(client.conn, { clientId, isPersistent, keepaliveMs, willTopic: will?.topic ?? null });
      // The broker would keep sessions in memory without a bound, and end a client whose messages are held.
      packet.clean = true;
      packet.keepalive = 0;
      done(null, true);
    },

    authenticate: (client, username, password, done) => {
      void hooks.login(client.conn, client.id, username, password).then((refusal) => {
        if (refusal === null) done(null, true);
        else done(authenticateError(refusal), false);
      });
    },

    authorizePublish: (client, packet, done) => {
      const { topic, payload, qos, retain, messageId } = packet;
      // The broker would keep retained messages, and those of QoS 2 until their PUBREL; no one may subscribe to them.
      packet.retain = false;
      packet.payload = nothing;
      hooks.onPublish(client?.conn ?? null, { topic, payload, qos, retain, messageId } as Publish, done);
    },

    // [MQTT-3.9.3]: SUBACK 0x80.
    authorizeSubscribe: ({ conn }, subscription, done) => {
      done(null, hooks.onSubscribe(conn, subscription.topic, subscription.qos) ? subscription : null);
    },

    // A subscriber that does not read would stop all ingest: what there is to hear comes past the broker.
    authorizeForward: () => null,
  });
  broker.on('unsubscribe', (topics, { conn }) => hooks.onUnsubscribe(conn, topics));
  const onClientError = ({ conn }: Client, error: Error) => {
    const isLost = 'code' in error || error.message === 'connection closed';
    if (!isLost) hooks.onFault(conn, error.message);
    log.debug({ error: error.message }, 'a client was closed for an error');
  };
  broker.on('clientError', onClientError);
  broker.on('connectionError', onClientError);
  broker.addListener('error', (error: Error) => log.error({ error: error.message }, 'the MQTT broker failed'));
  return broker;
}

function authenticateError(refusal: Refusal): AuthenticateError {
  return Object.assign(new Error(closedReasons[refusal].text), { returnCode: returnCodes[refusal] });
}
