/** Ours: gateway and processor on Kafka and InfluxDB, or one process on the embedded bus and store. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../../core/clock.ts';
import { silentLogger } from '../../core/log.ts';
import { openStore } from '../../pipeline.ts';
import { freePort } from '../../test/support/free-port.ts';
import { type RoleProcess, startRole } from '../../test/support/role-process.ts';
import { configOf, setUpTopics } from '../backend.ts';
import { type Contender, Opened } from './contender.ts';
import { startServices } from './services.ts';

export async function openSluice(on: 'services' | 'embedded'): Promise<Contender> {
  const opened = new Opened();
  try {
    return await open(on, opened);
  } catch (error) {
    await opened.close();
    throw error;
  }
}

async function open(on: 'services' | 'embedded', opened: Opened): Promise<Contender> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-peers-'));
  opened.add(() => rm(folder, { recursive: true, force: true }));
  const mqttPort = await freePort();
  const services = on === 'services' ? await startServices(opened) : null;
  const ports = { SLUICE_HTTP_PORT: '0', SLUICE_MQTT_PORT: String(mqttPort) };
  const env = { SLUICE_DATA_DIR: folder, ...ports, ...services?.env };
  await setUpTopics(env);
  const store = openStore(configOf(env), systemClock, silentLogger);
  await store.start();
  opened.add(() => store.close());

  const middle = on === 'services' ? ['gateway', 'processor'] : ['start'];
  const roles = new Map<string, RoleProcess>();
  for (const role of middle) {
    roles.set(role, await startRole([role], env));
    opened.add(() => roles.get(role)!.stop());
  }
  return {
    chain: on === 'services' ? 'gateway → Kafka → processor → InfluxDB' : 'one process, embedded bus and store',
    mqttPort,
    store,
    pids: () => ({ ...Object.fromEntries([...roles].map(([role, { pid }]) => [role, pid])), ...services?.pids() }),
    middle,
    kill: (role) => roles.get(role)!.kill(),
    start: async (role) => {
      roles.set(role, await startRole([role], env));
    },
    close: () => opened.close(),
  };
}
