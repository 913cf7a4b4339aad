/** The published package as a stranger gets it: packed, installed in an empty folder, run with the Node that is there. */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { connectAsync } from 'mqtt';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { eventually } from '../support/eventually.ts';

const exec = promisify(execFile);
const repository = join(import.meta.dirname, '../..');

/** The shell of a stranger: nothing of this checkout is on the path, nothing of this run in the environment. */
const env = {
  ...Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(npm_|NODE_|SLUICE_|KAFKA_|INFLUX|VITEST)/i.test(name)),
  ),
  PATH: process.env
    .PATH!.split(delimiter)
    .filter((folder) => !folder.includes('node_modules'))
    .join(delimiter),
};

let folder: string;
let packed: string[];
const installed = (command: string) => join(folder, 'node_modules/.bin', command);

async function run(command: string, ...args: string[]): Promise<string> {
  const { stdout } = await exec(command, args, { cwd: folder, env, maxBuffer: 2 ** 26 });
  return stdout;
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-package-'));
  const { stdout } = await exec('npm', ['pack', '--json', '--pack-destination', folder], { cwd: repository });
  const [{ filename, files }] = JSON.parse(stdout.slice(stdout.indexOf('[\n'))) as [
    { filename: string; files: { path: string }[] },
  ];
  packed = files.map(({ path }) => path);
  await run('npm', 'install', '--prefer-offline', '--no-audit', '--no-fund', `./${filename}`);
}, 300_000);
afterAll(() => rm(folder, { recursive: true, force: true }));

test('the package holds what runs and what a user reads, and nothing else', () => {
  const known =
    /^(dist\/|bin\/sluice\.js$|examples\/|deploy\/grafana\/|(README|CHANGELOG)\.md$|LICENSE$|package\.json$|rules\.yaml$)/;
  expect(packed.filter((path) => !known.test(path))).toEqual([]);
  const data = /^dist\/(web\/page\/|simulator\/scenario\/(shipped\/[\w-]+(\.rules)?\.yaml|scenario\.schema\.json)$)/;
  expect(packed.filter((path) => path.startsWith('dist/') && !data.test(path) && !path.endsWith('.js'))).toEqual([]);
  expect(packed.filter((path) => /(^|\/)(test|bench|node_modules|data)\//.test(path))).toEqual([]);
  expect(packed).toContain('dist/bus/embedded/worker.js');
  expect(packed).toContain('dist/web/page/index.html');
});

test('npx sluice answers', async () => {
  expect(await run('npx', 'sluice', '--version')).toMatch(/^\d+\.\d+\.\d+\n$/);
  expect(JSON.parse(await run('npx', 'sluice', 'config', '--json'))).toMatchObject({ host: '127.0.0.1' });
});

test('npx sluice simulate finds its scenarios', async () => {
  const list = JSON.parse(await run('npx', 'sluice', 'simulate', 'ls', '--json')) as { name: string; file: string }[];
  expect(list.map(({ name }) => name)).toContain('cold-chain');
  await run('npx', 'sluice', 'simulate', 'init', 'cold-chain');
  expect(await run('npx', 'sluice', 'simulate', 'validate', 'cold-chain.yaml')).toContain('cold-chain, 24 devices');
});

test('npx sluice process reads a pipe, and does not mind who stops reading', async () => {
  const line = (i: number) =>
    JSON.stringify({
      topic: 'iot/lab/s1/telemetry',
      payload: { temperature: 21.5 },
      receivedAtMs: 1_760_000_000_000 + i,
    });
  await writeFile(join(folder, 'in.ndjson'), Array.from({ length: 20_000 }, (_, i) => `${line(i)}\n`).join(''));
  const shell = (command: string) => run('bash', '-o', 'pipefail', '-c', command);
  const rollup = JSON.parse(await shell('cat in.ndjson | npx sluice process --in - | tail -n 1'));
  expect(rollup).toMatchObject({ kind: 'rollup', device: 's1', count: 20_000, mean: 21.5 });
  expect(JSON.parse(await shell('npx sluice process --in in.ndjson | head -n 1'))).toMatchObject({ kind: 'reading' });
});

test('sluice start serves the page, takes a message and ends with 0 on SIGTERM', async () => {
  const ports = { SLUICE_HTTP_PORT: '0', SLUICE_MQTT_PORT: '0', SLUICE_LOG_FORMAT: 'json' };
  const child = spawn(installed('sluice'), ['start'], {
    cwd: folder,
    env: { ...env, ...ports },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  const log: string[] = [];
  createInterface({ input: child.stderr }).on('line', (line) => log.push(line));
  const started = await eventually(() => log.find((line) => line.includes('"msg":"started"')), {
    withinMs: 30_000,
    what: 'sluice start',
  }).catch((error: unknown) => {
    throw new Error(`it did not start:\n${log.join('\n')}`, { cause: error });
  });
  const { http, mqtt } = JSON.parse(started) as Record<'http' | 'mqtt', { host: string; port: number }>;
  const url = `http://${http.host}:${http.port}`;
  await eventually(async () => (await fetch(`${url}/readyz`)).ok, { what: 'ready' });

  const page = await (await fetch(url)).text();
  expect(page).toContain('</html>');
  const [chart] = page.match(/\/vendor\/uplot\/[\w.]+/) ?? [];
  expect(chart).toBeDefined();
  expect((await fetch(`${url}${chart}`)).status).toBe(200);

  const device = await connectAsync(`mqtt://${mqtt.host}:${mqtt.port}`);
  await device.publishAsync('iot/lab/s1/telemetry', '{"temperature":21.5}', { qos: 1 });
  await device.endAsync();
  await eventually(async () => {
    const { devices } = (await (await fetch(`${url}/api/devices`)).json()) as { devices: object[] };
    expect(devices).toMatchObject([{ site: 'lab', device: 's1', fields: { temperature: 21.5 } }]);
    return true;
  });

  const exited = once(child, 'exit');
  child.kill('SIGTERM');
  expect(await exited).toEqual([0, null]);
});
