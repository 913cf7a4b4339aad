/**
 * The protocol: Aedes with the hooks it offers. `authorizePublish` is the only one that it waits for before it
 * acknowledges (its `published` comes after the PUBACK), so that is where a message is held.
 */
import { Aedes, type AuthenticateError, type Client } from 'aedes';
import type { Logger } from '../core/log.ts';
import type { Release } from './acks.ts';
import type { RareLog } from './log-rarely.ts';
import type { Publish } from './records.ts';

/** CONNACK return codes (MQTT 3.1.1 §3.2.2.3). */
export const connack = { serverUnavailable: 3, badCredentials: 4 } as const;

/** Why a client may not connect. */
export interface Refusal {
  readonly returnCode: (typeof connack)[keyof typeof connack];
  readonly message: string;
}

export interface BrokerHooks {
  /** What a CONNECT asked for, before it is judged. */
  onConnect(conn: object, asked: { isPersistent: boolean; keepaliveMs: number }): void;
  refusal(username: string | undefined, password: Buffer | undefined): Refusal | null;
  onAccepted(conn: object, clientId: string): void;
  /** `conn` is `null` for a will whose client is not known. Calls `release` exactly once. */
  onPublish(conn: object | null, publish: Publish, release: Release): void;
}

/** A client that does not read its acknowledgements for so long is closed. */
const drainTimeoutMs = 5000;
const mqtt5 = 5;

export async function openBroker(
  connectTimeoutMs: number,
  hooks: BrokerHooks,
  log: Logger,
  rareLog: RareLog,
): Promise<Aedes> {
  const broker = await Aedes.createBroker({
    connectTimeout: connectTimeoutMs,
    drainTimeout: drainTimeoutMs,

    preConnect: (client, packet, done) => {
      if (packet.protocolVersion === mqtt5) {
        rareLog.warn({ clientId: packet.clientId }, 'a client speaks MQTT 5 and is refused: let it use MQTT 3.1.1');
      }
      const keepaliveMs = (packet.keepalive ?? 0) * 1000;
      hooks.onConnect(client.conn, { isPersistent: packet.clean === false, keepaliveMs });
      // The broker would keep sessions in memory without a bound, and end a client whose messages are held.
      packet.clean = true;
      packet.keepalive = 0;
      done(null, true);
    },

    authenticate: (client, username, password, done) => {
      const refusal = hooks.refusal(username, password);
      if (refusal === null) hooks.onAccepted(client.conn, client.id);
      done(refusal === null ? null : authenticateError(refusal), refusal === null);
    },

    authorizePublish: (client, packet, done) => {
      // The broker's own default, which a hook replaces.
      if (packet.topic.startsWith('$SYS/')) return done(new Error('$SYS/ is reserved'));
      hooks.onPublish(client?.conn ?? null, packet as Publish, done);
    },

    // Ingest only: a subscriber that does not read would stop all ingest. [MQTT-3.9.3]: SUBACK 0x80.
    authorizeSubscribe: (_client, _subscription, done) => done(null, null),
  });
  const onClientError = (_client: Client, error: Error) =>
    log.debug({ error: error.message }, 'a client was closed for an error');
  broker.on('clientError', onClientError);
  broker.on('connectionError', onClientError);
  broker.addListener('error', (error: Error) => log.error({ error: error.message }, 'the MQTT broker failed'));
  return broker;
}

function authenticateError({ message, returnCode }: Refusal): AuthenticateError {
  return Object.assign(new Error(message), { returnCode });
}
