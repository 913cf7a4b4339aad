/** What can be checked of the compose file without a Docker engine. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
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
}

const { services } = parse(file, { merge: true }) as { services: Record<string, Service> };
const named = Object.entries(services);

test.skipIf(!hasProgram('docker-compose', 'docker-compose'))('docker-compose accepts the file', () => {
  execFileSync('docker-compose', ['config', '-q'], { cwd: folder });
});

test('every image is pinned', () => {
  for (const [name, { image }] of named) expect(image, name).toMatch(/:(?!latest$)[\w.-]+$/);
});

test('every service that stays up has a health check, so that --wait means something', () => {
  const oneShot = ['init', 'setup', 'simulator'];
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
  expect(ours.map(([, { command }]) => command?.[0]).sort()).toEqual([
    'gateway',
    'processor',
    'setup',
    'simulate',
    'web',
  ]);
});
