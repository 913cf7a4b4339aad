/** The load: Sluice's own simulator as a process, and what it knows of each message afterwards. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { readTruth } from '../../verify/truth-file.ts';

export interface FleetLoad {
  readonly devices: number;
  /** Messages per second of all devices together. */
  readonly rate: number;
  readonly seconds: number;
  readonly seed: number;
}

/** What was acknowledged of one device. */
export interface Acknowledged {
  readonly site: string;
  readonly device: string;
  /** The device's own, in ms; no device has two readings at one time. In the order in which they were sent. */
  readonly timesMs: readonly number[];
  /** Of each, from when it was to be sent to its PUBACK. */
  readonly acksMs: readonly number[];
}

const program = join(import.meta.dirname, '../../bin/sluice.js');
/** For a broker that was away: the devices hold and resend. */
const drain = '60s';

/** Resolves with everything that was acknowledged when the fleet is done. */
export async function runFleet(mqttPort: number, load: FleetLoad): Promise<Acknowledged[]> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-fleet-'));
  const truth = join(folder, 'truth.ndjson');
  const { devices, rate, seconds, seed } = load;
  const numbers = {
    devices,
    rate,
    seed,
    duration: `${seconds}s`,
    drain,
    truth,
    broker: `mqtt://127.0.0.1:${mqttPort}`,
  };
  const args = Object.entries(numbers).flatMap(([name, value]) => [`--${name}`, String(value)]);
  try {
    const child = spawn(process.execPath, [program, 'simulate', ...args, '--json'], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const [report, log] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
    if (report === '') throw new Error(`the fleet could not run:\n${log.slice(-2000)}`);
    return await acknowledgedIn(truth);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function acknowledgedIn(file: string): Promise<Acknowledged[]> {
  const { devices } = await readTruth(createInterface({ input: createReadStream(file) }), file);
  return devices.map(({ site, device, messages }) => {
    const [timesMs, acksMs]: [number[], number[]] = [[], []];
    for (const { reading, intendedMs, acknowledgedMs } of messages) {
      if (acknowledgedMs === null || reading === null || reading.timeMs === null) continue;
      timesMs.push(reading.timeMs);
      acksMs.push(Math.max(0, acknowledgedMs - intendedMs));
    }
    return { site, device, timesMs, acksMs };
  });
}

export function countOf(acknowledged: readonly Acknowledged[]): number {
  return acknowledged.reduce((sum, { timesMs }) => sum + timesMs.length, 0);
}
