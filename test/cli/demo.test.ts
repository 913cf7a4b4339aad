/** `npm start`: the fleet gets in as itself, and so does whoever tries it out on this machine. */
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import mqtt from 'mqtt';
import { expect, onTestFinished, test } from 'vitest';
import { parseCredentials } from '../../cli/credentials-file.ts';
import { prepareDemo } from '../../cli/demo.ts';
import { resolveConfig } from '../../core/config.ts';
import { eventually } from '../support/eventually.ts';
import { startRole } from '../support/role-process.ts';

async function dataDir(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-demo-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

const configOf = (flags: Record<string, unknown>) => resolveConfig({ env: {}, flags, readText: () => '' });

test('devices have users of their own, and on the loopback address nobody needs one', { timeout: 60_000 }, async () => {
  const folder = await dataDir();
  const env = { SLUICE_DATA_DIR: folder, SLUICE_MQTT_PORT: '0', SLUICE_HTTP_PORT: '0' };
  const sluice = await startRole(['start', '--demo'], env);
  onTestFinished(() => sluice.kill());
  const devicesOnline = async () => {
    const { devices } = (await (await fetch(`${sluice.http}/api/devices`)).json()) as {
      devices: { online: boolean }[];
    };
    return devices.filter(({ online }) => online).length;
  };
  await eventually(async () => (await devicesOnline()) === 12, { withinMs: 30_000 });
  const read = (name: string) => readFile(join(folder, 'demo', name), 'utf8');
  expect((await stat(join(folder, 'demo/users.ndjson'))).mode & 0o777).toBe(0o600);
  expect((await stat(join(folder, 'demo/credentials.ndjson'))).mode & 0o777).toBe(0o600);
  const passwords = [...parseCredentials(await read('credentials.ndjson')).values()].map(({ password }) => password);
  expect(passwords).toHaveLength(12);

  const connect = (options: object) =>
    mqtt.connectAsync(`mqtt://127.0.0.1:${sluice.mqttPort}`, { protocolVersion: 4, reconnectPeriod: 0, ...options });
  const anyone = await connect({});
  await anyone.publishAsync('iot/lab/s1/telemetry', '{"temperature":21.5}', { qos: 1 });
  await anyone.endAsync();
  await expect(connect({ username: 'cold-north/fridge-01', password: 'a guess' })).rejects.toThrow();

  expect(await sluice.stop()).toBe(0);
  for (const password of passwords) expect(sluice.log().join('\n')).not.toContain(password);
});

test('users are made once; one that is missing is made again, and others that were added stay', async () => {
  const folder = await dataDir();
  const config = configOf({ dataDir: folder });
  const { usersFile } = (await prepareDemo(config)).config.mqtt;
  const credentialsFile = join(folder, 'demo/credentials.ndjson');
  const [users, credentials] = [await readFile(usersFile!, 'utf8'), await readFile(credentialsFile, 'utf8')];
  await prepareDemo(config);
  expect(await readFile(usersFile!, 'utf8')).toBe(users);
  expect(await readFile(credentialsFile, 'utf8')).toBe(credentials);

  const own = '{"user":"mine","site":"lab","device":"s1"}\n';
  await writeFile(usersFile!, `${own}${users}`);
  await writeFile(credentialsFile, credentials.split('\n').slice(1).join('\n'));
  await prepareDemo(config);
  expect(await readFile(usersFile!, 'utf8')).toContain(own);
  const again = parseCredentials(await readFile(credentialsFile, 'utf8'));
  const before = parseCredentials(credentials);
  const changed = [...again.values()].filter(({ user, password }) => before.get(user)!.password !== password);
  expect([again.size, changed.length]).toEqual([12, 1]);
});

test('off the loopback address nobody gets in without a user; one user for all is the user of the fleet', async () => {
  const folder = await dataDir();
  const { config } = await prepareDemo(configOf({ dataDir: folder, host: '0.0.0.0' }));
  expect(config.mqtt.anonymous).toBe(false);
  const one = { 'mqtt.username': 'fleet', 'mqtt.password': 'secret' };
  expect(await prepareDemo(configOf({ dataDir: folder, ...one }))).toMatchObject({
    config: { mqtt: { anonymous: false } },
    credentials: { username: 'fleet', password: 'secret' },
  });
  const others = configOf({ dataDir: folder, 'mqtt.usersFile': 'users.ndjson' });
  await expect(prepareDemo(others)).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
});
