/** The fleet of `sluice start --demo`: the scenario that `sluice simulate` has by default, each device with an identity. */
import { randomBytes } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { systemClock } from '../core/clock.ts';
import type { Config } from '../core/config-schema.ts';
import { SluiceError } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';
import { hasCredentials, isLoopback } from '../gateway/auth.ts';
import { gatewayOptions } from '../gateway/options.ts';
import { identities } from '../simulator/fleet.ts';
import { defaultSimulatorOptions, type SimulatorOptions } from '../simulator/options.ts';
import { shippedScenario } from '../simulator/scenario/shipped.ts';
import { Simulator } from '../simulator/simulator.ts';
import type { DeviceCredentials } from './credentials-file.ts';
import { type FleetFiles, giveUsers, nameOf, type Place, readCredentials } from './users/fleet.ts';
import { putEntries, readEntries } from './users/users-file.ts';

export interface Demo {
  /** As given, with the users of the fleet. */
  readonly config: Config;
  readonly credentials: SimulatorOptions['credentials'];
}

/** A gateway that listens there. */
export interface DemoTarget {
  readonly host: string;
  readonly port: number;
}

/**
 * Each device of the fleet gets in as itself, by a users file in the data folder; on the loopback address anyone gets in
 * beside them, as without a demo. Where the configuration has one user for all, the fleet is that. Throws CONFIG_INVALID
 * when it has other users: which of them the fleet should be cannot be known.
 */
export async function prepareDemo(config: Config): Promise<Demo> {
  const { username, password } = config.mqtt;
  if (username !== undefined && password !== undefined) return { config, credentials: { username, password } };
  if (hasCredentials(gatewayOptions(config))) {
    throw new SluiceError(
      'CONFIG_INVALID',
      'the fleet of --demo connects as mqtt.username, which is not set: set SLUICE_MQTT_USERNAME and ' +
        'SLUICE_MQTT_PASSWORD beside the other credentials, or leave out --demo',
    );
  }
  const folder = join(config.dataDir, 'demo');
  const files = { users: join(folder, 'users.ndjson'), credentials: join(folder, 'credentials.ndjson') };
  await mkdir(folder, { recursive: true });
  const credentials = await credentialsOf(demoFleets().flatMap(identities), files);
  const anonymous = config.insecure || isLoopback(config.host);
  return {
    config: { ...config, mqtt: { ...config.mqtt, usersFile: files.users, anonymous } },
    credentials: (device) => {
      const { user, password } = credentials.get(nameOf(device))!;
      return { username: user, password };
    },
  };
}

export function startDemoFleet(
  { host, port }: DemoTarget,
  credentials: Demo['credentials'],
  log: Logger,
): { stop(): Promise<void> } {
  const { name, seed } = shippedScenario('quickstart').scenario;
  const fleet = new Simulator(
    {
      ...defaultSimulatorOptions,
      scenario: name,
      seed,
      fleets: demoFleets(),
      broker: `mqtt://${reachable(host)}:${port}`,
      credentials,
      // Little is outstanding on one machine, and Ctrl-C is to be quick.
      drainMs: 1500,
    },
    { clock: systemClock, log: log.child({ part: 'demo fleet' }), run: randomBytes(3).toString('hex') },
  );
  fleet.start();
  return { stop: () => fleet.stop() };
}

function demoFleets() {
  return shippedScenario('quickstart').scenario.fleets;
}

/** Made at the first start, and again where one is missing; others that were added to the users file stay. */
async function credentialsOf(
  devices: readonly Place[],
  files: FleetFiles,
): Promise<ReadonlyMap<string, DeviceCredentials>> {
  const known = await readCredentials(files.credentials);
  const users = new Set((await readEntries(files.users)).map(({ user }) => user));
  const missing = devices.filter((device) => !known.has(nameOf(device)) || !users.has(nameOf(device)));
  await giveUsers(missing, files, putEntries);
  return readCredentials(files.credentials);
}

/** An address that is listened on, as one to connect to. */
function reachable(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1';
  if (host === '::') return '[::1]';
  return host.includes(':') ? `[${host}]` : host;
}
