/** The pipelines that chaos is let loose on: which processes there are, and on what. */
import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { startOwnInflux } from '../support/influx-server.ts';
import { startOwnKafka } from '../support/kafka-server.ts';
import { DiskPart, type Part, RolePart, type Say, ServerPart } from './parts.ts';

/** `embedded`: one process that does all; `roles`: gateway and processors share the embedded bus and store. */
export const setupNames = ['embedded', 'roles', 'services'] as const;
export type SetupName = (typeof setupNames)[number];

export interface Setup {
  /** In the order in which they are started; closed in the reverse one. */
  readonly parts: readonly Part[];
  readonly roles: readonly RolePart[];
  /** For the processes of the pipeline and for `verify`. */
  readonly env: Readonly<Record<string, string>>;
  /** What cannot be done here, and how to get it. */
  readonly missing: readonly string[];
}

/** Name → command of Sluice. */
const commands: Readonly<Record<SetupName, Readonly<Record<string, string>>>> = {
  embedded: { pipeline: 'start' },
  roles: { gateway: 'gateway', 'processor-1': 'processor', 'processor-2': 'processor' },
  services: {
    'gateway-1': 'gateway',
    'gateway-2': 'gateway',
    'processor-1': 'processor',
    'processor-2': 'processor',
  },
};

export interface SetupOptions {
  /** Of those that the gateways let in, as environment. */
  readonly credentials: Readonly<Record<string, string>>;
  readonly diskMiB: number;
  readonly say: Say;
}

/** Starts the servers, and no role yet. Throws when a server cannot be had. */
export async function openSetup(
  name: SetupName,
  folder: string,
  configFile: string,
  { credentials, diskMiB, say }: SetupOptions,
): Promise<Setup> {
  const missing: string[] = [];
  const faketime = findFaketime();
  if (faketime === null) missing.push('no clock is moved: apt-get install libfaketime');
  const { parts: servers, env: serverEnv } =
    name === 'services' ? await startServers(folder) : await startDisk(folder, diskMiB, missing);
  const env = { ...serverEnv, ...credentials, SLUICE_HTTP_PORT: '0', SLUICE_MQTT_PORT: '0' };
  const roles = Object.entries(commands[name]).map(([role, command]) => {
    // Processors read no clock but that of their leases, and those who share them are on one machine or ask Kafka.
    const library = command === 'processor' ? null : faketime;
    return new RolePart(role, [command, '--config', configFile], env, { folder, faketime: library, say });
  });
  return { parts: [...servers, ...roles], roles, env, missing };
}

async function startServers(folder: string): Promise<{ parts: Part[]; env: Record<string, string> }> {
  const [kafkaFolder, influxFolder] = [join(folder, 'kafka'), join(folder, 'influx')];
  await Promise.all([mkdir(kafkaFolder), mkdir(influxFolder)]);
  const [kafka, influx] = await Promise.all([
    startOwnKafka({ keepIn: kafkaFolder, sessionTimeoutMs: 3000 }),
    startOwnInflux(influxFolder),
  ]);
  if ('skip' in kafka || 'skip' in influx) {
    for (const server of [kafka, influx]) if (!('skip' in server)) await server.close();
    throw new Error([kafka, influx].flatMap((server) => ('skip' in server ? [server.skip] : [])).join('\n'));
  }
  return {
    parts: [new ServerPart('kafka', kafka), new ServerPart('influx', influx)],
    env: {
      KAFKA_BROKERS: kafka.brokers,
      INFLUX_URL: influx.url,
      INFLUX_TOKEN: influx.token,
      INFLUX_ORG: influx.org,
    },
  };
}

async function startDisk(folder: string, diskMiB: number, missing: string[]) {
  const dataDir = join(folder, 'data');
  const env = { SLUICE_DATA_DIR: dataDir };
  if (!DiskPart.canMount()) {
    missing.push('no disk is filled: that needs root on Linux, to mount a small tmpfs');
    return { parts: [], env };
  }
  const disk = new DiskPart(dataDir);
  await disk.start(diskMiB);
  return { parts: [disk], env };
}

/** The library of Debian's package; for its own architecture. */
function findFaketime(): string | null {
  const architectures = ['x86_64-linux-gnu', 'aarch64-linux-gnu'];
  return architectures.map((name) => `/usr/lib/${name}/faketime/libfaketimeMT.so.1`).find(existsSync) ?? null;
}
