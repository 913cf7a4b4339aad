/** Against a broker of others, with everything that a connection can have. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { connectAsync } from 'mqtt';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { type Mosquitto, startMosquitto } from '../support/mosquitto.ts';
import { hasProgram } from '../support/programs.ts';
import { certificates } from './certificates.ts';

const program = join(import.meta.dirname, '../../sluice.ts');
process.env.PATH += ':/usr/sbin';
const isThere = hasProgram('mosquitto', 'mosquitto');

describe.skipIf(!isThere)('on Mosquitto, with TLS, certificates of the devices, and a user', () => {
  let folder: string;
  let broker: Mosquitto;
  let connection: string[];
  const env = { ...process.env, NODE_NO_WARNINGS: '1', SLUICE_MQTT_USERNAME: 'fleet', SLUICE_MQTT_PASSWORD: 'secret' };

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'sluice-simulate-'));
    const file = (name: string) => join(folder, name);
    const { ca, server, client } = certificates();
    await writeFile(file('ca.pem'), ca);
    for (const [name, { cert, key }] of [
      ['server', server],
      ['client', client],
    ] as const) {
      await writeFile(file(`${name}.pem`), cert);
      await writeFile(file(`${name}.key`), key);
    }
    execFileSync('mosquitto_passwd', ['-b', '-c', file('passwords'), 'fleet', 'secret'], { stdio: 'ignore' });
    // As root it gives up its rights, and could then not read what only root may.
    const tls = [`cafile ${file('ca.pem')}`, `certfile ${file('server.pem')}`, `keyfile ${file('server.key')}`];
    broker = await startMosquitto([
      ...tls,
      'require_certificate true',
      `password_file ${file('passwords')}`,
      `user ${process.env.USER ?? 'root'}`,
    ]);
    const keys = ['--ca', file('ca.pem'), '--cert', file('client.pem'), '--key', file('client.key')];
    connection = ['--broker', `mqtts://127.0.0.1:${broker.port}`, ...keys];
  });
  afterAll(async () => {
    await broker?.close();
    await rm(folder, { recursive: true, force: true });
  });

  /** Everything the broker hands on, one `topic payload` each. */
  async function listen(): Promise<string[]> {
    const [ca, cert, key] = ['ca.pem', 'client.pem', 'client.key'].map((name) => readFileSync(join(folder, name)));
    const user = { username: 'fleet', password: 'secret' };
    const client = await connectAsync(`mqtts://127.0.0.1:${broker.port}`, { ca: ca!, cert: cert!, key: key!, ...user });
    onTestFinished(() => client.endAsync(true));
    const lines: string[] = [];
    client.on('message', (topic, payload) => lines.push(`${topic} ${payload}`));
    await client.subscribeAsync('#', { qos: 2 });
    return lines;
  }

  function start(args: readonly string[]) {
    const all = [program, 'simulate', ...args, ...connection];
    const child = spawn(process.execPath, all, { env, stdio: ['ignore', 'pipe', 'pipe'] });
    onTestFinished(() => void child.kill('SIGKILL'));
    const errors = text(child.stderr);
    const ended = Promise.all([text(child.stdout), errors, once(child, 'close')]).then(([output, err, [code]]) => {
      return { code: code as number, output, errors: err };
    });
    return { child, ended };
  }

  const published = (lines: readonly string[]) => lines.filter((line) => line.startsWith('iot/'));

  test.each(['0', '1', '2'])(
    'QoS %s: all of it arrives, nested, over a past of an hour',
    { timeout: 60_000 },
    async (qos) => {
      const lines = await listen();
      const fleet = ['industrial-vibration', '-c', '10', '-R', '200', '--format', 'json-nested', '-q', qos];
      const { code, output, errors } = await start([...fleet, '--backfill', '1h', '-L', '500', '--json']).ended;
      expect(code, errors).toBe(0);
      expect(JSON.parse(output)).toMatchObject({
        sent: 500,
        everConnected: 10,
        skipped: 0,
        lost: 0,
        scenario: 'industrial-vibration',
      });
      await eventually(() => published(lines).length >= 500, { what: '500 messages' });
      const payloads = published(lines).map((line) => JSON.parse(line.slice(line.indexOf(' '))));
      expect(payloads).toHaveLength(500);
      expect(new Set(payloads.map(({ ts }) => ts)).size).toBeGreaterThan(100);
      for (const { motor, ts } of payloads) {
        expect(motor.rpm).toBeTypeOf('number');
        expect(Date.now() - ts).toBeGreaterThan(1_800_000);
      }
    },
  );

  test('a killed fleet leaves its wills; sessions that are kept have the same names', { timeout: 60_000 }, async () => {
    const lines = await listen();
    const will = ['--will-topic', 'lost/{site}/{device}', '--will-payload', '{device} is gone', '--will-qos', '1'];
    const { child } = start(['-c', '3', '-I', '50ms', '--no-clean', '--ramp-up', '100ms', ...will]);
    await eventually(() => published(lines).length > 30, { withinMs: 30_000, what: 'messages' });
    child.kill('SIGKILL');
    await eventually(() => lines.filter((line) => line.startsWith('lost/')).length === 3, { what: 'three wills' });
    expect(lines.filter((line) => line.startsWith('lost/')).sort()).toEqual([
      'lost/cold-harbour/fridge-02 fridge-02 is gone',
      'lost/cold-north/fridge-01 fridge-01 is gone',
      'lost/cold-south/fridge-03 fridge-03 is gone',
    ]);
  });

  test('a wrong password or an unknown authority is said, and nothing is sent', { timeout: 60_000 }, async () => {
    const end = ['-c', '1', '-L', '1', '--drain', '500ms'];
    const refused = await start([...end, '-u', 'fleet', '-P', 'wrong']).ended;
    expect([refused.code, refused.output]).toEqual([1, expect.stringContaining('FAILED')]);
    const { ca } = certificates();
    await writeFile(join(folder, 'other.pem'), ca);
    connection = connection.map((part) => part.replace('ca.pem', 'other.pem'));
    const stranger = await start(end).ended;
    connection = connection.map((part) => part.replace('other.pem', 'ca.pem'));
    expect([stranger.code, stranger.output]).toEqual([1, expect.stringMatching(/FAILED.*(certificate|signed)/)]);
  });
});
