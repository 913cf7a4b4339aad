/**
 * The protocol: Aedes with the hooks it offers. `authorizePublish` is the only one that it waits for before it
 * acknowledges (its `published` comes after the PUBACK), so that is where a message is held.
 */
import { Aedes, type AuthenticateError, type Client } from 'aedes';
import type { Logger } from '../core/log.ts';
import type { Release } from './acks.ts';
import type { Publish } from './records.ts';

/** CONNACK return codes (MQTT 3.1.1 §3.2.2.3). */
export const connack = { serverUnavailable: 3, badCredentials: 4 } as const;

/** Why a client may not connect. */
export interface Refusal {
  readonly returnCode: (typeof connack)[keyof typeof connack];
  readonly message: string;
}

/** What a CONNECT asked for. */
export interface Asked {
  readonly clientId: string;
  readonly isPersistent: boolean;
  readonly keepaliveMs: number;
}

export interface BrokerHooks {
  /** Before the CONNECT is judged. */
  onConnect(conn: object, asked: Asked): void;
  refusal(conn: object, username: string | undefined, password: Buffer | undefined): Refusal | null;
  /** The broker closes the connection that had the client id before. */
  onAccepted(conn: object, clientId: string): void;
  /** `conn` is `null` for a will whose client is not known. Calls `release` exactly once. */
  onPublish(conn: object | null, publish: Publish, release: Release): void;
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
      const { clientId } = packet;
      hooks.onConnect(client.conn, { clientId, isPersistent: packet.clean === false, keepaliveMs });
      // The broker would keep sessions in memory without a bound, and end a client whose messages are held.
      packet.clean = true;
      packet.keepalive = 0;
      done(null, true);
    },

    authenticate: (client, username, password, done) => {
      const refusal = hooks.refusal(client.conn, username, password);
      if (refusal !== null) return done(authenticateError(refusal), false);
      hooks.onAccepted(client.conn, client.id);
      done(null, true);
    },

    authorizePublish: (client, packet, done) => {
      const { topic, payload, qos, retain, messageId } = packet;
      // The broker would keep retained messages, and those of QoS 2 until their PUBREL; no one may subscribe to them.
      packet.retain = false;
      packet.payload = nothing;
      hooks.onPublish(client?.conn ?? null, { topic, payload, qos, retain, messageId } as Publish, done);
    },

    // Ingest only: a subscriber that does not read would stop all ingest. [MQTT-3.9.3]: SUBACK 0x80.
    authorizeSubscribe: (_client, _subscription, done) => done(null, null),
  });
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

function authenticateError({ message, returnCode }: Refusal): AuthenticateError {
  return Object.assign(new Error(message), { returnCode });
}
