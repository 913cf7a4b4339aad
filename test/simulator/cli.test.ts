/** `sluice simulate`: what it takes, what it prints where, and how it ends. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, expect, onTestFinished, test } from 'vitest';
import { readSimulateFlags } from '../../cli/simulate.ts';
import { defaultSimulatorOptions } from '../../simulator/options.ts';
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

describe('its flags', () => {
  const read = (flags: Record<string, string>, env: Record<string, string> = {}, readText = (path: string) => path) =>
    readSimulateFlags(flags, env, readText);

  test('none: the fleet of the demo', () => {
    expect(read({})).toEqual(defaultSimulatorOptions);
  });

  test('each changes what it says', () => {
    const flags = {
      broker: 'mqtts://broker.example:8883',
      devices: '40',
      sites: 'a, b',
      rate: '80',
      jitter: '0',
      qos: '2',
      topic: 'x/{device}',
      clientId: '{site}-{device}',
      seed: '9',
      duration: '1m',
      limit: '77',
      connrate: '5',
      keepalive: '7',
      inflight: '8',
      buffer: '9',
      drain: '3s',
      username: 'u',
      password: 'p',
    };
    expect(read(flags)).toEqual({
      ...defaultSimulatorOptions,
      broker: 'mqtts://broker.example:8883',
      devices: 40,
      sites: ['a', 'b'],
      intervalMs: 500,
      jitter: 0,
      qos: 2,
      topic: 'x/{device}',
      clientId: '{site}-{device}',
      seed: 9,
      durationMs: 60_000,
      limit: 77,
      connectRate: 5,
      keepaliveSeconds: 7,
      maxInFlight: 8,
      maxHeld: 9,
      drainMs: 3000,
      credentials: { username: 'u', password: 'p' },
    });
    expect(read({ interval: '250' }).intervalMs).toBe(250);
  });

  test('user and password from the environment, or from files; flags win', () => {
    const env = { SLUICE_MQTT_USERNAME: 'me', SLUICE_MQTT_PASSWORD_FILE: '/run/password' };
    const readText = (path: string) => `from ${path}\n`;
    expect(read({}, env, readText).credentials).toEqual({ username: 'me', password: 'from /run/password' });
    expect(read({ username: 'you', password: 'x' }, env, readText).credentials?.username).toBe('you');
  });

  test('all errors come at once, each with its flag', () => {
    const flags = {
      broker: 'mqtt://me:secret@broker',
      devices: 'many',
      interval: 'soon',
      rate: '-1',
      jitter: '2',
      qos: '3',
      topic: 'iot/#/{device}',
      clientId: 'same-for-all',
      username: 'me',
    };
    const readText = () => {
      throw new Error('no such file');
    };
    const message = (() => {
      try {
        return JSON.stringify(readSimulateFlags(flags, { SLUICE_MQTT_PASSWORD_FILE: '/nowhere' }, readText));
      } catch (error) {
        return (error as Error).message;
      }
    })();
    for (const flag of ['broker', 'devices', 'interval', 'rate', 'jitter', 'qos', 'topic', 'client-id']) {
      expect(message).toContain(`\n  --${flag}: `);
    }
    expect(message).toContain('SLUICE_MQTT_PASSWORD_FILE: /nowhere cannot be read');
    expect(message).toContain('need each other');
    expect(message).toContain('--rate and --interval: give one of them');
    expect(message).not.toContain('secret');
    expect(() => read({ broker: 'nonsense' })).toThrow('--broker: expected mqtt://host:port');
    expect(() => read({ devices: '2', rate: '2001' })).toThrow('more than 1000 messages per second and device');
  });
});
