/** What can be checked of the compose file without a Docker engine. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { parse } from 'yaml';
import { parseCredentials } from '../../cli/credentials-file.ts';
import { devicesOf } from '../../cli/simulate/flags.ts';
import { parsePlaces } from '../../cli/users/import.ts';
import { verifyPassword } from '../../gateway/identity/password.ts';
import { parseUsers } from '../../gateway/identity/users.ts';
import { shippedScenario } from '../../simulator/scenario/shipped.ts';
import { hasProgram } from '../support/programs.ts';

const folder = join(import.meta.dirname, '../..');
const file = readFileSync(join(folder, 'docker-compose.yml'), 'utf8');

interface Service {
  readonly image: string;
  readonly restart?: string;
  readonly ports?: string[];
  readonly healthcheck?: { test?: string[]; disable?: boolean };
  readonly environment?: Record<string, unknown>;
  readonly command?: string[];
  readonly entrypoint?: string[];
  readonly volumes?: string[];
}

const { services } = parse(file, { merge: true }) as { services: Record<string, Service> };
const named = Object.entries(services);

test.skipIf(!hasProgram('docker-compose', 'docker-compose'))('docker-compose accepts the file', () => {
  execFileSync('docker-compose', ['config', '-q'], { cwd: folder });
  const withTls = ['-f', 'docker-compose.yml', '-f', 'deploy/compose.tls.yml', 'config'];
  const merged = parse(execFileSync('docker-compose', withTls, { cwd: folder, encoding: 'utf8' }));
  expect(Object.keys(merged.services.gateway.environment)).toEqual(
    expect.arrayContaining(['SLUICE_MQTT_USERS_FILE', 'SLUICE_MQTT_TLS_CERT', 'SLUICE_MQTT_TLS_KEY']),
  );
});

test('every image is pinned', () => {
  for (const [name, { image }] of named) expect(image, name).toMatch(/:(?!latest$)[\w.-]+$/);
});

test('every service that stays up has a health check, so that --wait means something', () => {
  const oneShot = ['init', 'users', 'setup', 'simulator'];
  for (const [name, { healthcheck }] of named.filter(([name]) => !oneShot.includes(name))) {
    expect(healthcheck?.test, name).toBeDefined();
  }
});

test('every port is bound to this machine', () => {
  const ports = named.flatMap(([, service]) => service.ports ?? []);
  expect(ports.length).toBeGreaterThan(4);
  expect(ports.filter((port) => !port.startsWith('127.0.0.1:'))).toEqual([]);
});

test('no secret is written down: each comes from a file that the init service writes', () => {
  const secret = /PASSWORD|TOKEN|SECRET/;
  for (const [name, { environment = {} }] of named) {
    for (const [variable, value] of Object.entries(environment).filter(([key]) => secret.test(key))) {
      expect(variable, name).toMatch(/_FILE$/);
      expect(String(value), `${name} ${variable}`).toMatch(/^\/secrets\//);
    }
  }
  const written = readFileSync(join(folder, 'deploy/init-secrets.mjs'), 'utf8');
  for (const [path] of file.matchAll(/\/secrets\/[\w-]+/g)) expect(written).toContain(path.replace('/secrets/', ''));
});

test('our services run commands that there are', () => {
  const ours = named.filter(([, { image }]) => image.startsWith('sluice'));
  const commandOf = ({ entrypoint = [], command = [] }: Service) => [...entrypoint.slice(2), ...command][0];
  expect(ours.map(([, service]) => commandOf(service)).sort()).toEqual([
    'gateway',
    'processor',
    'setup',
    'simulate',
    'users',
    'web',
  ]);
});

test('nobody gets in without a user: the gateway has a users file, which one service alone can write', () => {
  const { environment } = services.gateway!;
  expect(environment).toMatchObject({ SLUICE_MQTT_USERS_FILE: '/secrets/mqtt/users.ndjson' });
  expect(file).not.toMatch(/SLUICE_(INSECURE|MQTT_ANONYMOUS)/);
  const writers = named.filter(([, { volumes = [] }]) => volumes.includes('secrets:/secrets'));
  expect(writers.map(([name]) => name)).toEqual(['init', 'users']);
});

test('the fleet of the demo profile is in the list of devices', () => {
  const list = readFileSync(join(folder, 'deploy/devices.txt'), 'utf8');
  const [command, , , flag, devices] = services.simulator!.command!;
  expect([command, flag]).toEqual(['simulate', '--devices']);
  const fleet = devicesOf({ devices: devices! }, shippedScenario('quickstart').scenario);
  const placed = fleet.map(({ site, device }) => ({ site, device }));
  expect(parsePlaces(list)).toEqual([{ site: 'lab', device: 's1' }, ...placed]);
});

describe('by hand, as the services would', { timeout: 60_000 }, () => {
  /** A service of ours with the folder of its secrets elsewhere. */
  const runIn = (secrets: string, name: string) => {
    const { entrypoint = ['node', 'bin/sluice.js'], command = [], environment = {} } = services[name]!;
    const here = (text: string) => text.replace(/^\/secrets/, secrets).replace('/devices.txt', 'deploy/devices.txt');
    const [program, ...args] = [...entrypoint.slice(1), ...command].map(here);
    const env = Object.entries(environment).map(([key, value]) => [key, here(String(value))]);
    const own = { PATH: process.env.PATH, NODE_NO_WARNINGS: '1', ...Object.fromEntries(env) };
    return execFileSync(process.execPath, [program!, ...args], { cwd: folder, env: own, encoding: 'utf8' });
  };

  test.skipIf(process.getuid?.() !== 0)(
    'init and users make what the gateway and the fleet need, and leave it the next time',
    async () => {
      const secrets = await mkdtemp(join(tmpdir(), 'sluice-secrets-'));
      onTestFinished(() => rm(secrets, { recursive: true, force: true }));
      const init = () => execFileSync(process.execPath, ['deploy/init-secrets.mjs', secrets], { cwd: folder });
      init();
      expect(runIn(secrets, 'users')).toMatch(/^added 21, there already 0; /);
      const read = (name: string) => readFileSync(join(secrets, 'mqtt', name), 'utf8');
      const [users, credentials] = [read('users.ndjson'), read('credentials.ndjson')];
      init();
      expect(runIn(secrets, 'users')).toMatch(/^added 0, there already 21; /);
      expect([read('users.ndjson'), read('credentials.ndjson')]).toEqual([users, credentials]);
      const user = (await parseUsers(users)).get('lab/s1')!;
      const { password } = parseCredentials(credentials).get('lab/s1')!;
      expect(await verifyPassword(Buffer.from(password), user.password!)).toBe(true);
      expect(users).not.toContain(password);
    },
  );
});
