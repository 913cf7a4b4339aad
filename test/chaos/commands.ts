/** The two commands that a run consists of, as processes: the fleet, and the proof. Each leaves its output in the folder. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import type { VerifyReport } from '../../verify/report.ts';

const program = join(import.meta.dirname, '../../bin/sluice.js');
/** For the devices to be rid of what they hold once everything is up again. */
const drain = '120s';

export interface Command {
  readonly folder: string;
  readonly env: Readonly<Record<string, string>>;
  /** Ends it at once. */
  readonly leaving: AbortSignal;
}

export interface FleetFlags {
  readonly broker: string;
  readonly seed: number;
  readonly loadMs: number;
  readonly devices: number;
  /** Messages per second. */
  readonly rate: number;
  /** How often as fast as the clock event time passes, up to the present; 1 = it is the clock. */
  readonly speed: number;
  /** The file with a user for each device; `null`: the environment has one for all. */
  readonly credentials: string | null;
}

/** The scenario `chaos`; resolves with the exit code when the fleet is done. */
export async function simulate(flags: FleetFlags, command: Command): Promise<number | null> {
  const { broker, seed, loadMs, devices, rate, speed, credentials } = flags;
  const size = { devices, rate: rate / speed, ...(speed > 1 ? { speed: `${speed}x` } : {}) };
  const own = credentials === null ? {} : { credentials };
  const named = { broker, seed, ...size, ...own, duration: `${loadMs}ms`, drain, truth: truthOf(command) };
  const args = Object.entries(named).flatMap(([name, value]) => [`--${name}`, String(value)]);
  const { code, out } = await run('simulate', ['chaos', ...args], command);
  await writeFile(join(command.folder, 'simulate.txt'), out);
  return code;
}

/** Waits at most `waitMs` for processors and windows. `report` is `null` when there was none: `verify.log` says why. */
export async function verify(configFile: string, waitMs: number, command: Command) {
  const html = join(command.folder, 'verify.html');
  const named = { config: configFile, truth: truthOf(command), wait: `${waitMs}ms`, html };
  const args = [...Object.entries(named).flatMap(([name, value]) => [`--${name}`, value]), '--json', '--all'];
  const { code, out } = await run('verify', args, command);
  await writeFile(join(command.folder, 'verify.json'), out);
  return { code, report: out === '' ? null : (JSON.parse(out) as VerifyReport) };
}

function truthOf({ folder }: Command): string {
  return join(folder, 'truth.ndjson');
}

async function run(name: string, args: readonly string[], { folder, env, leaving }: Command) {
  const child = spawn(process.execPath, [program, name, ...args], {
    env: { PATH: process.env.PATH, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    signal: leaving,
    killSignal: 'SIGKILL',
  });
  child.stderr.pipe(createWriteStream(join(folder, `${name}.log`)));
  const [out, [code]] = await Promise.all([text(child.stdout), once(child, 'close') as Promise<[number | null]>]);
  return { code, out };
}
