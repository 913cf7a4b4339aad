/** Settings of the gateway. Defaults and meanings: `core/config.ts`. */
export interface GatewayOptions {
  readonly host: string;
  /** 0 picks a free one. */
  readonly port: number;
  readonly credentials: { readonly username: string; readonly password: string } | null;
  /** Allows a non-loopback address without credentials. */
  readonly insecure: boolean;
  readonly maxPacketBytes: number;
  readonly lingerMs: number;
  /** Caps over all clients on what is taken and not yet durable. */
  readonly maxHeldMessages: number;
  readonly maxHeldBytes: number;
  readonly maxConnections: number;
  readonly connectTimeoutMs: number;
  readonly tickAfterMs: number;
}
