/** A server process of others: its log in a file, killed with us, and its end told with the last lines of that log. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { eventually } from '../../test/support/eventually.ts';

export class Program {
  readonly #command: readonly [string, ...string[]];
  readonly #logFile: string;
  /** Whether it is ready to work, asked until it says so. */
  readonly #isReady: (log: string) => boolean | Promise<boolean>;
  #child: ChildProcess | null = null;

  constructor(
    command: readonly [string, ...string[]],
    logFile: string,
    isReady: (log: string) => boolean | Promise<boolean>,
  ) {
    this.#command = command;
    this.#logFile = logFile;
    this.#isReady = isReady;
  }

  get pid(): number {
    return this.#child!.pid!;
  }

  async start(): Promise<void> {
    const [program, ...args] = this.#command;
    const log = openSync(this.#logFile, 'w');
    const child = spawn(program, args, { stdio: ['ignore', log, log] });
    closeSync(log);
    this.#child = child;
    const killWithUs = () => child.kill('SIGKILL');
    process.once('exit', killWithUs);
    child.once('exit', () => process.off('exit', killWithUs));
    const failed = new Promise<never>((_, reject) => {
      child.once('error', reject);
      child.once('exit', async (code, signal) => {
        reject(new Error(`${program} ended with ${code ?? signal}:\n${(await this.#log()).slice(-2000)}`));
      });
    });
    failed.catch(() => {});
    const ready = eventually(async () => this.#isReady(await this.#log()), {
      withinMs: 30_000,
      what: `${program} ready`,
    });
    await Promise.race([ready, failed]);
  }

  async kill(): Promise<void> {
    const child = this.#child;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
  }

  #log(): Promise<string> {
    return readFile(this.#logFile, 'utf8');
  }
}
