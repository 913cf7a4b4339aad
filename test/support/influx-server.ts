/**
 * A real InfluxDB 2 for tests: the one named by INFLUX_URL (with INFLUX_TOKEN and INFLUX_ORG), else the program named by
 * INFLUXD_BIN, started on a free port with a folder of its own.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually } from './eventually.ts';
import { freePort } from './free-port.ts';

export interface InfluxServer {
  readonly url: string;
  readonly token: string;
  readonly org: string;
  /** Process id; `null` when INFLUX_URL names a server that is not ours. */
  readonly pid: number | null;
  close(): Promise<void>;
}

/** One that a test may stop, kill and start again: same address, same data, same token. */
export interface OwnInfluxServer extends InfluxServer {
  /** Ends the process with SIGKILL and leaves its data. */
  kill(): Promise<void>;
  /** Starts it again after `kill`. */
  restart(): Promise<void>;
  /** Starts it again after `kill`, as if its disk had been lost: same address, same token, no buckets. */
  restartEmpty(): Promise<void>;
}

const howToGetIt =
  'InfluxDB: set INFLUX_URL, INFLUX_TOKEN and INFLUX_ORG, or INFLUXD_BIN to the influxd program of InfluxDB OSS 2.9 ' +
  '(https://github.com/influxdata/influxdb/releases)';

export async function startInflux(): Promise<InfluxServer | { skip: string }> {
  const url = process.env.INFLUX_URL;
  if (!url) return startOwnInflux();
  return {
    url,
    token: process.env.INFLUX_TOKEN ?? '',
    org: process.env.INFLUX_ORG ?? 'iot',
    pid: null,
    close: async () => {},
  };
}

/**
 * Never the server named by INFLUX_URL: a test may do to this one what it likes. `keepIn`: an empty folder for its
 * files, that stays when it is closed.
 */
export async function startOwnInflux(keepIn?: string): Promise<OwnInfluxServer | { skip: string }> {
  const program = process.env.INFLUXD_BIN;
  if (!program) return { skip: howToGetIt };

  const folder = keepIn ?? (await mkdtemp(join(tmpdir(), 'sluice-influx-')));
  const address = `127.0.0.1:${await freePort()}`;
  const url = `http://${address}`;
  const token = randomBytes(24).toString('hex');
  const org = 'iot';

  let child = await launch(program, folder, address);
  const kill = () => end(child, 'SIGKILL');
  const close = async () => {
    await end(child, 'SIGKILL');
    if (keepIn === undefined) await rm(folder, { recursive: true, force: true });
  };

  const setUp = async () => {
    const user = { username: 'test', password: randomBytes(12).toString('hex') };
    const body = JSON.stringify({ ...user, org, bucket: 'unused', token });
    const answer = await fetch(`${url}/api/v2/setup`, { method: 'POST', body });
    if (answer.ok) return;
    await close();
    throw new Error(`influxd could not be set up: ${answer.status} ${await answer.text()}`);
  };
  await setUp();
  return {
    url,
    token,
    org,
    get pid() {
      return child.pid ?? null;
    },
    kill,
    restart: async () => {
      child = await launch(program, folder, address);
    },
    restartEmpty: async () => {
      for (const name of ['bolt', 'engine', 'sqlite']) await rm(join(folder, name), { recursive: true, force: true });
      child = await launch(program, folder, address);
      await setUp();
    },
    close,
  };
}

async function launch(program: string, folder: string, address: string): Promise<ChildProcess> {
  const settings = {
    'bolt-path': join(folder, 'bolt'),
    'engine-path': join(folder, 'engine'),
    'sqlite-path': join(folder, 'sqlite'),
    'http-bind-address': address,
    'log-level': 'error',
  };
  const flags = Object.entries(settings).map(([name, value]) => `--${name}=${value}`);
  const child = spawn(program, [...flags, '--reporting-disabled'], { stdio: ['ignore', 'pipe', 'pipe'] });
  const killWithUs = () => child.kill('SIGKILL');
  process.once('exit', killWithUs);
  child.once('exit', () => process.off('exit', killWithUs));

  let output = '';
  const keepTail = (chunk: Buffer) => {
    output = (output + chunk).slice(-4000);
  };
  child.stdout.on('data', keepTail);
  child.stderr.on('data', keepTail);
  const failed = new Promise<never>((_, reject) => {
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`influxd ended with ${code}: ${output}`)));
  });
  failed.catch(() => {});

  const ready = eventually(async () => (await fetch(`http://${address}/health`)).ok, {
    withinMs: 60_000,
    everyMs: 100,
    what: 'influxd answering /health',
  });
  await Promise.race([ready, failed]);
  return child;
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill(signal);
  await exited;
}
