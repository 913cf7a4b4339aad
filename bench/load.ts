/** Runs the load generator as a process of its own, so that its CPU time is not ours. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';

export interface Load {
  readonly connections: number;
  /** Messages of a connection without a PUBACK. */
  readonly inflight: number;
  /** Messages per second of all connections; `null` = as many as are acknowledged. */
  readonly rate: number | null;
}

export interface LoadResult {
  readonly acked: number;
  readonly seconds: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

export async function load(port: number, messages: number, how: Load): Promise<LoadResult> {
  const child = startLoad(port, messages, how);
  const [output, [code]] = await Promise.all([text(child.stdout), once(child, 'exit')]);
  if (code !== 0) throw new Error(`the load generator ended with ${code}`);
  return JSON.parse(output) as LoadResult;
}

/** For one that is ended by whoever started it. `name`: what the names of its devices begin with. */
export function startLoad(port: number, messages: number, { connections, inflight, rate }: Load, name = 'load') {
  const program = join(import.meta.dirname, 'mqtt-load.ts');
  const given = { port, messages, connections, inflight, name, ...(rate !== null && { rate }) };
  const args = Object.entries(given).flatMap(([flag, value]) => [`--${flag}`, String(value)]);
  return spawn(process.execPath, [program, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
}
