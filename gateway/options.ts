import type { Config } from '../core/config-schema.ts';

/** Settings of the gateway; their defaults are those of `mqtt` in `core/config.ts`. */
export interface GatewayOptions {
  readonly host: string;
  /** 0 picks a free one. */
  readonly port: number;
  /** The one user that may do everything; `null` = there is none. */
  readonly credentials: { readonly username: string; readonly password: string } | null;
  /** All other users: `identity/users.ts`. */
  readonly usersFile?: string | undefined;
  /** Paths of PEM files; with `cert` and `key` the gateway also listens for TLS: `tls.ts`. */
  readonly tls: {
    readonly port: number;
    readonly cert?: string | undefined;
    readonly key?: string | undefined;
    /** The authority of those who may show a certificate. */
    readonly ca?: string | undefined;
    readonly requireClientCert: boolean;
  };
  /** With one of the first two a password may be a token: `identity/tokens.ts`. */
  readonly jwt: {
    readonly keysFile?: string | undefined;
    readonly jwksUrl?: string | undefined;
    readonly issuer?: string | undefined;
    readonly audience?: string | undefined;
    readonly userClaim: string;
    readonly siteClaim: string;
    readonly deviceClaim: string;
  };
  /** Lets in who shows no user name, too. */
  readonly anonymous: boolean;
  /** Allows a non-loopback address where no one has to say who they are. */
  readonly insecure: boolean;
  /** A larger packet ends its connection at its header: `packets.ts`, as the next five. */
  readonly maxPacketBytes: number;
  readonly maxConnectBytes: number;
  readonly maxTopicBytes: number;
  readonly maxTopicLevels: number;
  readonly maxClientIdBytes: number;
  /** Topics that one connection may ask for. */
  readonly maxSubscriptions: number;
  /** Packet ids without their PUBREL: `qos2.ts`. */
  readonly maxUnfinishedQos2PerClient: number;
  readonly maxUnfinishedQos2: number;
  /** How fast one client is read: `pace.ts`. */
  readonly maxMessagesPerSecond: number;
  readonly maxBytesPerSecond: number;
  /** What is read and not yet handed to the broker, over all clients: `read-ahead.ts`. */
  readonly maxReadAheadBytes: number;
  readonly maxUnfinishedBytes: number;
  /** Who is let in: `admission.ts`. */
  readonly maxConnections: number;
  readonly maxConnectionsPerAddress: number;
  readonly maxConnectsPerSecond: number;
  /** More cost time: `identity/login-throttle.ts`. */
  readonly maxFailedLoginsPerAddress: number;
  /** Time a connection has to send CONNECT. */
  readonly connectTimeoutMs: number;
  /** A client that asks for a longer keepalive, or for none, is given this one: a peer that vanished is noticed. */
  readonly maxKeepaliveMs: number;
  /** How long a message waits for others before they are appended together. */
  readonly lingerMs: number;
  /** The most records and payload bytes of one append; a larger single record goes alone. */
  readonly maxBatchRecords: number;
  readonly maxBatchBytes: number;
  /** Caps on what is taken and not yet acknowledged, over all clients and for one. What happens at them: `caps.ts`. */
  readonly maxHeldMessages: number;
  readonly maxHeldBytes: number;
  readonly maxHeldMessagesPerClient: number;
  readonly maxHeldBytesPerClient: number;
  /** A raw partition that is given nothing for so long gets a tick. */
  readonly tickAfterMs: number;
}

/** What the gateway takes of the configuration. */
export function gatewayOptions({ host, insecure, mqtt }: Config): GatewayOptions {
  const { username, password, ...options } = mqtt;
  const credentials = username === undefined || password === undefined ? null : { username, password };
  return { ...options, host, insecure, credentials };
}
