/** What a start says when something is not there: in one line, with the exit code; `/readyz` names it meanwhile. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, type TestContext, test } from 'vitest';
import type { Readiness } from '../../web/readiness.ts';
import { eventually } from '../support/eventually.ts';
import { freePort } from '../support/free-port.ts';

const program = join(import.meta.dirname, '../../sluice.ts');

interface Started {
  readonly child: ChildProcess;
  /** What it said so far, on standard error. */
  said(): string;
  readonly exitCode: Promise<number | null>;
}

async function startSluice(
  { onTestFinished }: TestContext,
  settings: string,
  env: Record<string, string>,
): Promise<Started> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-faults-'));
  const file = join(folder, 'sluice.yaml');
  await writeFile(file, `dataDir: ${join(folder, 'data')}\n${settings}`);
  const inherited = Object.entries(process.env).filter(
    ([name]) => !/^(SLUICE_|KAFKA_|INFLUX_|NODE_ENV|VITEST)/.test(name),
  );
  const child = spawn(process.execPath, [program, 'start', '--config', file], {
    env: { ...Object.fromEntries(inherited), SLUICE_LOG_FORMAT: 'json', SLUICE_MQTT_PORT: '0', ...env },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let said = '';
  child.stderr!.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  const exitCode = once(child, 'close').then(([code]) => code as number | null);
  onTestFinished(async () => {
    child.kill('SIGKILL');
    await exitCode;
    await rm(folder, { recursive: true, force: true });
  });
  return { child, said: () => said, exitCode };
}

async function takenPort({ onTestFinished }: TestContext): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.close();
  });
  return (server.address() as { port: number }).port;
}

/** What is not a line of the log. */
function lastWords(said: string): string[] {
  return said.split('\n').filter((line) => line !== '' && !line.startsWith('{'));
}

// All at once: each waits for most of its time.
test.concurrent.for([
  ['HTTP', 'SLUICE_HTTP_PORT'],
  ['MQTT', 'SLUICE_MQTT_PORT'],
] as const)('the %s port is in use: one line with the fix, exit code 1', async ([what, variable], context) => {
  const port = await takenPort(context);
  const { said, exitCode } = await startSluice(context, '', { SLUICE_HTTP_PORT: '0', [variable]: String(port) });
  expect(await exitCode).toBe(1);
  expect(lastWords(said())).toEqual([
    expect.stringMatching(
      new RegExp(
        `^sluice: LISTEN_FAILED: ${what} cannot listen on 127.0.0.1:${port} .*: .*choose another with ${variable}$`,
      ),
    ),
  ]);
});

test.concurrent.for([
  ['Kafka', 'bus', 'kafka', (port: number) => ({ KAFKA_BROKERS: `127.0.0.1:${port}` }), 'BUS_UNAVAILABLE'],
  [
    'InfluxDB',
    'store',
    'influx',
    (port: number) => ({ INFLUX_URL: `http://127.0.0.1:${port}`, INFLUX_TOKEN: 'x' }),
    'STORE_UNAVAILABLE',
  ],
] as const)(
  '%s is unreachable: said, tried again, named by /readyz; after the start timeout one line and exit code 1',
  async ([what, dependency, kind, environment, code], context) => {
    const [nobody, httpPort] = [await freePort(), await freePort()];
    const env = { ...environment(nobody), SLUICE_HTTP_PORT: String(httpPort) };
    const { said, exitCode } = await startSluice(context, 'startTimeoutMs: 8s', env);
    let hasEnded = false;
    void exitCode.then(() => {
      hasEnded = true;
    });
    const readiness = await eventually(
      async () => {
        if (hasEnded) throw new Error(`ended early: ${said()}`);
        const response = await fetch(`http://127.0.0.1:${httpPort}/readyz`);
        const body = (await response.json()) as Readiness;
        return response.status === 503 && body.problems.includes(`starting: waiting for ${dependency} (${kind})`)
          ? body
          : undefined;
      },
      { withinMs: 20_000, what: '/readyz while starting' },
    );
    expect(readiness.checks[dependency]).toMatchObject({ ok: false });
    expect(readiness.problems).toContainEqual(expect.stringMatching(new RegExp(`^${dependency}: `)));
    expect((await fetch(`http://127.0.0.1:${httpPort}/healthz`)).status).toBe(200);

    expect(await exitCode).toBe(1);
    expect(said()).toMatch(new RegExp(`"level":40.*127.0.0.1:${nobody}.*${what}`));
    expect(lastWords(said())).toEqual([
      expect.stringMatching(new RegExp(`^sluice: ${code}: .*127.0.0.1:${nobody}.*8000 ms`)),
    ]);
  },
);

test.concurrent('SIGTERM while the start waits for Kafka ends it, with exit code 0', async (context) => {
  const [nobody, httpPort] = [await freePort(), await freePort()];
  const env = { KAFKA_BROKERS: `127.0.0.1:${nobody}`, SLUICE_HTTP_PORT: String(httpPort) };
  const { child, said, exitCode } = await startSluice(context, 'startTimeoutMs: 10m', env);
  await eventually(async () => (await fetch(`http://127.0.0.1:${httpPort}/readyz`)).status === 503, {
    withinMs: 20_000,
    what: 'the start waits',
  });
  child.kill('SIGTERM');
  expect(await exitCode).toBe(0);
  expect(said()).not.toContain('"msg":"started"');
  expect(lastWords(said())).toEqual([]);
});

test.concurrent('InfluxDB that comes up while the start waits for it is found, and the start goes on', async (context) => {
  const [port, httpPort] = [await freePort(), await freePort()];
  const env = { INFLUX_URL: `http://127.0.0.1:${port}`, INFLUX_TOKEN: 'x', SLUICE_HTTP_PORT: String(httpPort) };
  const { said } = await startSluice(context, 'startTimeoutMs: 60s', env);
  await eventually(() => said().includes('InfluxDB cannot be reached'), { withinMs: 20_000 });
  // It answers a ping and nothing else: enough to go on.
  const late = createServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', () => socket.end('HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n'));
  });
  late.listen(port, '127.0.0.1');
  await once(late, 'listening');
  context.onTestFinished(() => {
    late.close();
  });
  await eventually(() => said().includes('"msg":"started"'), { withinMs: 20_000, what: 'the start' });
  const response = await fetch(`http://127.0.0.1:${httpPort}/readyz`);
  expect(response.status).toBe(503);
  expect(await response.json()).toMatchObject({ checks: { bus: { ok: true }, store: { ok: false } } });
});

test.concurrent('wrong configuration: every error at once, with path and fix, exit code 2', async (context) => {
  const { said, exitCode } = await startSluice(context, 'httpPort: 99999\nmqttt: {}\n', {
    SLUICE_MQTT_PORT: 'no',
    SLUICE_LOG_LEVEL: 'loud',
  });
  expect(await exitCode).toBe(2);
  expect(said()).toMatch(/CONFIG_INVALID: the configuration has 4 error\(s\)/);
  for (const part of ['httpPort', 'mqttt', 'SLUICE_MQTT_PORT', 'SLUICE_LOG_LEVEL']) expect(said()).toContain(part);
});
