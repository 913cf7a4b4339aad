/** Where the broker is, and how a connection to it is opened. One TLS context serves all devices that show the same. */
import { connect as connectTcp, type Socket, type TcpNetConnectOpts } from 'node:net';
import { connect as connectTls, createSecureContext, type SecureContext } from 'node:tls';
import { messageOf, SluiceError } from '../core/errors.ts';
import type { DeviceIdentity } from './fleet.ts';
import type { Certificate, Tls } from './options.ts';

export interface SocketHandler {
  /** TCP, and TLS where it is used, is set up. */
  onConnect(): void;
  /** The bytes are the handler's until it returns. */
  onRead(bytes: Uint8Array): void;
}

export type Dial = (handler: SocketHandler) => Socket;
/** Throws CONFIG_INVALID when the certificate of the device cannot be used. */
export type DialOf = (device: DeviceIdentity) => Dial;

const defaultPorts: Readonly<Record<string, number>> = { 'mqtt:': 1883, 'mqtts:': 8883 };
/** For all sockets: one read is dealt with before the next begins. */
const readBuffer = Buffer.allocUnsafe(64 * 1024);

/** `broker`: mqtt://host:port or mqtts://host:port. Throws CONFIG_INVALID when certificate or key cannot be used. */
export function dialTo(broker: string, tls: Tls | null): DialOf {
  const url = new URL(broker);
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const port = url.port === '' ? defaultPorts[url.protocol]! : Number(url.port);
  const optionsOf = (handler: SocketHandler): TcpNetConnectOpts => ({
    host,
    port,
    noDelay: true,
    onread: {
      buffer: readBuffer,
      callback: (length, bytes) => {
        handler.onRead(bytes.subarray(0, length));
        return true;
      },
    },
  });
  if (url.protocol === 'mqtt:') {
    const dial: Dial = (handler) => connectTcp(optionsOf(handler), () => handler.onConnect());
    return () => dial;
  }
  const { ca, certificate, insecure } = tls ?? { ca: null, certificate: null, insecure: false };
  const dialWith = (shown: Certificate | null): Dial => {
    const security = { secureContext: secureContextOf(ca, shown), rejectUnauthorized: !insecure };
    return (handler) => connectTls({ ...optionsOf(handler), ...security }, () => handler.onConnect());
  };
  if (typeof certificate === 'function') return (device) => dialWith(certificate(device));
  const dial = dialWith(certificate);
  return () => dial;
}

function secureContextOf(ca: Buffer | null, certificate: Certificate | null): SecureContext {
  try {
    return createSecureContext({ ...(ca && { ca }), ...certificate });
  } catch (error) {
    throw new SluiceError('CONFIG_INVALID', `the certificates or the key for TLS cannot be used: ${messageOf(error)}`);
  }
}
