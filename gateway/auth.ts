/** Who may connect, and from where the gateway may be reached without credentials. */
import { createHash, timingSafeEqual } from 'node:crypto';
import { BlockList, isIP } from 'node:net';
import { SluiceError } from '../core/errors.ts';
import type { GatewayOptions } from './options.ts';

const loopback = new BlockList();
loopback.addSubnet('127.0.0.0', 8, 'ipv4');
loopback.addAddress('::1', 'ipv6');

/** Throws CONFIG_INVALID when anyone on the network could publish. */
export function checkExposure({ host, credentials, insecure }: GatewayOptions): void {
  if (credentials !== null || insecure || isLoopback(host)) return;
  throw new SluiceError(
    'CONFIG_INVALID',
    `MQTT would listen on ${host} for anyone: set SLUICE_MQTT_USERNAME and SLUICE_MQTT_PASSWORD, or allow it with --insecure`,
  );
}

export function isAllowed(
  credentials: GatewayOptions['credentials'],
  username: string | undefined,
  password: Buffer | undefined,
): boolean {
  if (credentials === null) return true;
  const isUser = isEqual(username ?? '', credentials.username);
  const isPassword = isEqual(password ?? '', credentials.password);
  return isUser && isPassword;
}

/** In constant time whatever the lengths are. */
function isEqual(given: string | Buffer, expected: string): boolean {
  const digest = (value: string | Buffer) => createHash('sha256').update(value).digest();
  return timingSafeEqual(digest(given), digest(expected));
}

function isLoopback(host: string): boolean {
  if (host === 'localhost') return true;
  const family = isIP(host);
  return family !== 0 && loopback.check(host, family === 4 ? 'ipv4' : 'ipv6');
}
