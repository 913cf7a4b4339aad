/** `sluice simulate`: what it takes, what it prints where, and how it ends. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, expect, onTestFinished, test } from 'vitest';
import { giveUsers } from '../../cli/users/fleet.ts';
import { parsePlaces } from '../../cli/users/import.ts';
import { addEntries } from '../../cli/users/users-file.ts';
import { openGateway } from '../gateway/harness.ts';
import { eventually } from '../support/eventually.ts';
import { freePort } from '../support/free-port.ts';

const program = join(import.meta.dirname, '../../sluice.ts');

function start(args: readonly string[], env: Record<string, string> = {}) {
  const child = spawn(process.execPath, [program, 'simulate', ...args], {
    env: { ...process.env, NODE_NO_WARNINGS: '1', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  let errors = '';
  child.stderr.on('data', (chunk) => {
    errors += chunk;
  });
  const ended = Promise.all([text(child.stdout), once(child, 'close')]).then(([output, [code]]) => {
    return { code: code as number, output, errors };
  });
  return { child, ended, errors: () => errors };
}

describe('as a program', () => {
  test('all acknowledged: exit code 0, a report as JSON, the readings in the bus', { timeout: 60_000 }, async () => {
    const credentials = { username: 'fleet', password: 'from the environment' };
    const { port, messages } = await openGateway({ credentials });
    const args = ['--broker', `mqtt://127.0.0.1:${port}`, '-c', '20', '--rate', '400', '-L', '500', '--json'];
    const env = { SLUICE_MQTT_USERNAME: 'fleet', SLUICE_MQTT_PASSWORD: credentials.password };
    const { code, output, errors } = await start(args, env).ended;
    expect(code, errors).toBe(0);
    expect(JSON.parse(output)).toMatchObject({
      sent: 500,
      acknowledged: 500,
      unacknowledged: 0,
      skipped: 0,
      errors: 0,
      everConnected: 20,
      qos: 1,
      problems: [],
      ackMs: { p50: expect.any(Number), p99: expect.any(Number) },
      cpuUsPerMessage: expect.any(Number),
    });
    expect(output).not.toContain(credentials.password);
    expect(messages()).toHaveLength(500);
    expect(errors).toMatch(/^t=\d+s {2}connected \d+\/20 {2}sent \d+ \(\d+\/s\)/m);
  });

  test('each device as itself: what is not its own is refused, all else arrives', { timeout: 60_000 }, async () => {
    const folder = await mkdtemp(join(tmpdir(), 'sluice-fleet-'));
    onTestFinished(() => rm(folder, { recursive: true, force: true }));
    const [usersFile, credentials, truth] = ['users', 'credentials', 'truth'].map((name) => join(folder, name));
    const devices = await start(['devices', '-c', '20']).ended;
    expect(devices.code, devices.errors).toBe(0);
    await giveUsers(parsePlaces(devices.output), { users: usersFile!, credentials: credentials! }, addEntries);
    const { port, messages, gateway } = await openGateway({ usersFile: usersFile! });
    const broker = `mqtt://127.0.0.1:${port}`;
    const args = ['-c', '20', '--rate', '200', '-L', '300', '--faults', 'foreign_topic=5%', '--truth', truth!];
    const { code, output, errors } = await start([...args, '--broker', broker, '--credentials', credentials!]).ended;
    expect(code, errors).toBe(0);
    const told = (await readFile(truth!, 'utf8')).trimEnd().split('\n').slice(1);
    const foreign = told.map((line) => JSON.parse(line)).filter(({ topic }) => topic.startsWith('foreign/'));
    expect(foreign.length).toBeGreaterThan(3);
    expect(new Set(foreign.map(({ expect }) => expect.as))).toEqual(new Set(['refused_by_broker']));
    // Each ends the connection, and with it those that were on their way behind it.
    expect(gateway.status().closed.not_authorized).toBeGreaterThan(0);
    expect(gateway.status().closed.not_authorized).toBeLessThanOrEqual(foreign.length);
    expect(new Set(messages().map(({ headers }) => headers['mqtt.topic']!.split('/')[0]))).toEqual(new Set(['iot']));
    expect(new Set(messages().map(({ value }) => String(value))).size).toBe(300 - foreign.length);
    expect(output).toContain(`, ${foreign.length} given up as refused`);

    const more = await start(['-c', '21', '--broker', broker, '--credentials', credentials!]).ended;
    expect([more.code, more.errors]).toEqual([2, expect.stringContaining('has no user for')]);
  });

  test('the first Ctrl-C drains and reports', { timeout: 60_000 }, async () => {
    const { port, messages } = await openGateway();
    const { child, ended } = start(['--broker', `mqtt://127.0.0.1:${port}`, '--interval', '50ms', '-q', '2']);
    await eventually(() => messages().length > 20, { withinMs: 45_000 });
    child.kill('SIGINT');
    const { code, output, errors } = await ended;
    expect(code, errors).toBe(0);
    expect(errors).toContain('a second Ctrl-C ends at once');
    expect(output).toMatch(new RegExp(`^acknowledged +${messages().length}$`, 'm'));
    expect(output).toMatch(/^unacknowledged +0$/m);
  });

  test('the second Ctrl-C ends at once; no broker is said in one line', { timeout: 60_000 }, async () => {
    const port = await freePort();
    const { child, ended, errors } = start(['--broker', `mqtt://127.0.0.1:${port}`]);
    await eventually(() => errors().match(/^t=/gm)?.length === 3, { withinMs: 45_000 });
    child.kill('SIGINT');
    await eventually(() => errors().includes('a second Ctrl-C'));
    child.kill('SIGINT');
    const { code, output } = await ended;
    expect([code, output]).toEqual([130, '']);
    expect(errors().match(/cannot be reached/g)).toHaveLength(1);
    expect(errors()).toMatch(/^.*cannot be reached.*ECONNREFUSED.*$/m);
  });

  test('not all acknowledged: exit code 1, and why', { timeout: 60_000 }, async () => {
    const port = await freePort();
    const args = ['--broker', `mqtt://127.0.0.1:${port}`, '-c', '2', '-I', '10', '-L', '8', '--drain', '100ms'];
    const { code, output } = await start([...args, '--buffer', '3']).ended;
    expect(code).toBe(1);
    expect(output).toMatch(/^FAILED +2 of 2 devices could not connect \(last error: .*ECONNREFUSED/m);
    expect(output).toMatch(/^FAILED +6 messages were not sent, or not acknowledged/m);
    expect(output).toMatch(/^FAILED +2 messages were skipped/m);
  });

  test.each([
    ['a wrong value', ['--qos', '3']],
    ['an unknown flag', ['--quality', '1']],
  ])('%s: exit code 2, and nothing is sent', { timeout: 60_000 }, async (_what, args) => {
    const { code, output, errors } = await start(args).ended;
    expect([code, output]).toEqual([2, '']);
    expect(errors).toContain(args[0]);
  });
});

describe('scenarios', () => {
  const run = (...args: string[]) => start(args).ended;

  async function folder(): Promise<string> {
    const path = await mkdtemp(join(tmpdir(), 'sluice-scenario-'));
    onTestFinished(() => rm(path, { recursive: true, force: true }));
    return path;
  }

  test('ls lists them, init copies one with its rules, validate and -f take the copy', {
    timeout: 60_000,
  }, async () => {
    const table = await run('ls');
    expect(table.code, table.errors).toBe(0);
    expect(table.output).toMatch(/^scenario +devices +msg\/s +what happens\n/);
    const list = JSON.parse((await run('ls', '--json')).output) as { name: string; file: string }[];
    expect(table.output.split('\n').slice(1, -1)).toHaveLength(list.length);

    const file = join(await folder(), 'mine.yaml');
    const made = await run('init', 'cold-chain', file);
    expect(made.code, made.errors).toBe(0);
    const rulesFile = file.replace('.yaml', '.rules.yaml');
    expect(await readFile(rulesFile, 'utf8')).toContain('freezer-warm');
    const [schema] = /(?<=\$schema=).*/.exec(await readFile(file, 'utf8'))!;
    expect(JSON.parse(await readFile(schema, 'utf8'))).toMatchObject({ title: 'Sluice scenario' });
    expect(await run('validate', file)).toMatchObject({
      code: 0,
      output: `${file}: cold-chain, 24 devices, 0 faults\n`,
    });

    await writeFile(file, 'changed');
    const again = await run('init', 'cold-chain', file);
    expect([again.code, again.output, await readFile(file, 'utf8')]).toEqual([2, '', 'changed']);
    expect(again.errors).toContain(`${file} and ${rulesFile} exists already: --force writes over it`);
    expect((await run('init', 'cold-chain', file, '--force')).code).toBe(0);
    expect(await readFile(file, 'utf8')).toContain('name: cold-chain');

    const { port, messages } = await openGateway();
    const args = ['-f', file, '--broker', `mqtt://127.0.0.1:${port}`, '--rate', '500', '-L', '100'];
    const ran = await run(...args);
    expect(ran.code, ran.errors).toBe(0);
    expect(messages()).toHaveLength(100);
  });

  test('validate: exit code 2, with every error of every file', { timeout: 60_000 }, async () => {
    const path = await folder();
    const [one, other] = [join(path, 'one.yaml'), join(path, 'other.yaml')];
    await writeFile(one, 'name: one\ncolour: red\n');
    await writeFile(other, 'name: [');
    const { code, output, errors } = await run('validate', one, other);
    expect([code, output]).toEqual([2, '']);
    expect(errors).toMatch(
      /one\.yaml has 4 error\(s\):\n(.*\n)*.*line 1: fleets: expected array, and it is missing\n.*line 2: colour: /,
    );
    expect(errors).toContain('other.yaml has');
  });

  test.each([
    ['an unknown name', ['no-such-scenario']],
    ['a name and a file', ['chaos', '-f', 'x.yaml']],
    ['a file that is not there', ['-f', 'no-such.yaml']],
    ['a copy of none', ['init', 'no-such-scenario']],
  ])('%s: exit code 2', { timeout: 60_000 }, async (_what, args) => {
    const { code, errors } = await run(...args);
    expect([code, errors]).toEqual([2, expect.stringMatching(/^sluice: CONFIG_INVALID: /)]);
  });

  test('replay sends what can be sent, and ends with 1 for what can not', { timeout: 60_000 }, async () => {
    const { port, messages } = await openGateway();
    const file = join(await folder(), 'readings.csv');
    await writeFile(file, 'sensor,at,t\na,2025-01-01T00:00:00Z,20\na,never,21\nb,2025-01-01T00:00:01Z,22\n');
    const columns = ['--device-column', 'sensor', '--time-column', 'at', '--fields', 't=temperature'];
    const times = ['--keep-times', '--speed', 'max'];
    const { code, output, errors } = await run(
      ...['replay', file, ...columns, ...times, '--broker', `mqtt://127.0.0.1:${port}`, '--json'],
    );
    expect(code, errors).toBe(1);
    expect(JSON.parse(output)).toMatchObject({
      acknowledged: 2,
      problems: [expect.stringContaining('1 lines of')],
    });
    const payloads = messages().map(({ value }) => JSON.parse(String(value)));
    expect(payloads.sort((a, b) => a.ts - b.ts)).toEqual([
      { ts: Date.UTC(2025, 0, 1), seq: 0, temperature: 20 },
      { ts: Date.UTC(2025, 0, 1, 0, 0, 1), seq: 0, temperature: 22 },
    ]);
  });
});
