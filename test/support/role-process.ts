/** A role of the pipeline as a process of its own, as an operator would run it: to be killed, stopped and started again. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

const program = join(import.meta.dirname, '../../bin/sluice.js');

export interface RoleProcess {
  readonly pid: number;
  readonly http: string;
  readonly mqttPort: number | null;
  /** `kill -9`, resolved when the process is gone. */
  kill(): Promise<void>;
  /** SIGTERM; resolves with the exit code. */
  stop(): Promise<number | null>;
  /** Resolves when it has ended and all that it said is in `log`, with its exit code; `null`: by a signal. */
  readonly exited: Promise<number | null>;
  /** What it logged so far, newest last: for the message of a failing test. */
  log(): readonly string[];
}

/** Starts `sluice ROLE …` and resolves when it says that it has started. `onLine` is given each line of its log. */
export async function startRole(
  args: readonly string[],
  env: Record<string, string>,
  onLine: (line: string) => void = () => {},
): Promise<RoleProcess> {
  const child = spawn(process.execPath, [program, ...args], {
    env: { ...cleanEnvironment(), SLUICE_LOG_FORMAT: 'json', ...env },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const killWithUs = () => child.kill('SIGKILL');
  process.once('exit', killWithUs);
  child.once('exit', () => process.off('exit', killWithUs));
  const lines: string[] = [];
  const started = new Promise<{ http: Address; mqtt: Address | null }>((resolve, reject) => {
    createInterface({ input: child.stderr! }).on('line', (line) => {
      onLine(line);
      lines.push(line);
      if (lines.length > 500) lines.shift();
      if (line.includes('"msg":"started"')) resolve(JSON.parse(line));
    });
    child.once('close', (code, signal) => {
      reject(
        new Error(`sluice ${args.join(' ')} ended (${code ?? signal}) before it had started:\n${lines.join('\n')}`),
      );
    });
    child.once('error', reject);
  });
  const exited = once(child, 'close').then(([code]) => code as number | null);
  const { http, mqtt } = await started;
  return {
    pid: child.pid!,
    http: `http://${http.host}:${http.port}`,
    mqttPort: mqtt?.port ?? null,
    kill: async () => {
      await end(child, 'SIGKILL');
    },
    stop: () => end(child, 'SIGTERM'),
    exited,
    log: () => lines,
  };
}

interface Address {
  readonly host: string;
  readonly port: number;
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<number | null> {
  if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
  const exited = once(child, 'exit');
  child.kill(signal);
  await exited;
  return child.exitCode;
}

/** The environment without what would configure the pipeline behind the test's back. */
function cleanEnvironment(): Record<string, string | undefined> {
  return Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(SLUICE_|KAFKA_|INFLUX_|NODE_ENV|VITEST)/.test(name)),
  );
}
