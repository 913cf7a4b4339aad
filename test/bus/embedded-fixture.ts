import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';
import { EmbeddedBus, type EmbeddedBusOptions } from '../../bus/embedded.ts';
import type { NewRecord } from '../../bus/port.ts';
import { systemClock } from '../../core/clock.ts';
import { silentLogger } from '../../core/log.ts';
import type { TopicSpec } from '../../core/topics.ts';

/** A folder that goes with the test. */
export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-bus-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  return folder;
}

/** A started bus that closes with the test. */
export async function openBus(file: string, options: Partial<EmbeddedBusOptions> = {}): Promise<EmbeddedBus> {
  const bus = new EmbeddedBus({ file, clock: systemClock, log: silentLogger, ...options });
  await bus.start();
  onTestFinished(() => bus.close());
  return bus;
}

export function topic(name: string, spec: Partial<TopicSpec> = {}): TopicSpec {
  const unlimited = { retentionMs: null, retentionBytes: null, maxMessageBytes: 1024 * 1024 };
  return { name, partitions: 1, cleanup: 'delete', ...unlimited, ...spec };
}

export function record(value: string | Uint8Array | null, more: Partial<NewRecord> = {}): NewRecord {
  const bytes = typeof value === 'string' ? Buffer.from(value) : value;
  return { key: 'key', value: bytes, headers: {}, timestampMs: systemClock.nowMs(), ...more };
}

export interface BusProcess {
  readonly process: ChildProcess;
  /** What it has said so far, by line. */
  readonly lines: string[];
  say(line: string): void;
  kill(signal: NodeJS.Signals): void;
  exited(): Promise<void>;
}

/** Another process on the same file, see `embedded-process.ts`. It ends with the test at the latest. */
export function startProcess(role: 'append' | 'consume', file: string, ...args: string[]): BusProcess {
  const script = fileURLToPath(new URL('./embedded-process.ts', import.meta.url));
  const child = spawn(process.execPath, [script, role, file, ...args], { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines: string[] = [];
  createInterface({ input: child.stdout }).on('line', (line) => lines.push(line));
  const exit = once(child, 'close');
  onTestFinished(async () => {
    child.kill('SIGKILL');
    await exit;
  });
  return {
    process: child,
    lines,
    say: (line) => void child.stdin.write(`${line}\n`),
    kill: (signal) => void child.kill(signal),
    exited: () => exit.then(() => {}),
  };
}
