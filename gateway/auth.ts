/** From where the gateway may be reached without credentials. */
import { BlockList, isIP } from 'node:net';
import { SluiceError } from '../core/errors.ts';
import type { GatewayOptions } from './options.ts';

const loopback = new BlockList();
loopback.addSubnet('127.0.0.0', 8, 'ipv4');
loopback.addAddress('::1', 'ipv6');

export type Doors = Pick<GatewayOptions, 'credentials' | 'usersFile' | 'tls' | 'jwt' | 'anonymous'>;

/** Someone can say who they are. */
export function hasCredentials({ credentials, usersFile, tls, jwt }: Doors): boolean {
  const hasKeys = jwt.keysFile !== undefined || jwt.jwksUrl !== undefined;
  return credentials !== null || usersFile !== undefined || tls.ca !== undefined || hasKeys;
}

/** No one has to say who they are. */
export function isOpen(doors: Doors): boolean {
  return doors.anonymous || !hasCredentials(doors);
}

/** Throws CONFIG_INVALID when anyone on the network could publish. */
export function checkExposure(options: GatewayOptions): void {
  const { host, insecure } = options;
  if (!isOpen(options) || insecure || isLoopback(host)) return;
  const fix = hasCredentials(options)
    ? 'leave mqtt.anonymous (SLUICE_MQTT_ANONYMOUS) off, '
    : 'name a users file with SLUICE_MQTT_USERS_FILE (`sluice users add` makes it), set SLUICE_MQTT_USERNAME and SLUICE_MQTT_PASSWORD, ';
  throw new SluiceError('CONFIG_INVALID', `MQTT would listen on ${host} for anyone: ${fix}or allow it with --insecure`);
}

export function isLoopback(host: string): boolean {
  if (host === 'localhost') return true;
  const family = isIP(host);
  return family !== 0 && loopback.check(host, family === 4 ? 'ipv4' : 'ipv6');
}
