/** What a run of chaos consists of and can hurt. A part suffers one fault at a time and is up again when it is over. */
import { execFileSync } from 'node:child_process';
import { createWriteStream, writeFileSync } from 'node:fs';
import { cp, type FileHandle, mkdir, open, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { systemClock } from '../../core/clock.ts';
import { messageOf } from '../../core/errors.ts';
import { type RoleProcess, startRole } from '../support/role-process.ts';
import type { Fault, FaultKind, Victim } from './schedule.ts';

export interface Part extends Victim {
  /** Resolves when the fault is over and the part is up again. */
  suffer(fault: Fault): Promise<void>;
  close(): Promise<void>;
}

export type Say = (part: string, what: string) => void;

/** Between the end of a process that nobody asked for and its next start, as a supervisor does it. */
const superviseEveryMs = 1000;
/** Each part of a process has 10 s to close; then it ends all the same. */
const endsWithinMs = 60_000;

/** A role of the pipeline as a process, kept up by a supervisor: what ends by itself is started again, and said. */
export class RolePart implements Part {
  readonly name: string;
  readonly kinds: [FaultKind, ...FaultKind[]];
  readonly #args: readonly string[];
  readonly #env: Record<string, string>;
  readonly #clockFile: string | null;
  readonly #log: NodeJS.WritableStream;
  readonly #say: Say;
  #running: RoleProcess | null = null;
  /** Counts the times that it was wanted up or down: what was begun before is not wanted any more. */
  #turn = 0;

  /** Its log goes to `NAME.log` in the folder. `faketime`: the library that lets its clock be moved, if there is one. */
  constructor(
    name: string,
    args: readonly string[],
    env: Record<string, string>,
    { folder, faketime, say }: { folder: string; faketime: string | null; say: Say },
  ) {
    this.name = name;
    this.#args = args;
    this.kinds = faketime === null ? ['kill', 'restart', 'freeze'] : ['kill', 'restart', 'freeze', 'shift'];
    this.#clockFile = faketime === null ? null : join(folder, `${name}.clock`);
    this.#env = this.#clockFile === null ? env : { ...env, ...movableClock(faketime!, this.#clockFile) };
    this.#log = createWriteStream(join(folder, `${name}.log`));
    this.#say = say;
  }

  /** `null` while it is down. */
  get mqttPort(): number | null {
    return this.#running?.mqttPort ?? null;
  }

  /** `null` while it is down. */
  get pid(): number | null {
    return this.#running?.pid ?? null;
  }

  async start(): Promise<void> {
    this.#setClock(0);
    await this.#keepUp();
  }

  async suffer({ kind, forMs, shiftMs }: Fault): Promise<void> {
    if (kind === 'shift') {
      this.#setClock(shiftMs);
      await systemClock.sleep(forMs);
      this.#setClock(0);
    } else if (kind === 'freeze') {
      await freeze(this.#running?.pid, forMs);
    } else {
      await this.#end(kind === 'restart' ? 'stop' : 'kill');
      await systemClock.sleep(forMs);
      await this.#keepUp();
    }
  }

  async close(): Promise<void> {
    await this.#end('kill');
    this.#log.end();
  }

  /** Resolves when it is up, or when it is not wanted any more. */
  async #keepUp(): Promise<void> {
    const turn = ++this.#turn;
    while (turn === this.#turn) {
      try {
        const started = await startRole(this.#args, this.#env, (line) => this.#log.write(`${line}\n`));
        if (turn !== this.#turn) return void (await started.kill());
        this.#running = started;
        void started.exited.then(() => this.#onExit(turn));
        return;
      } catch (error) {
        this.#say(this.name, `did not start: ${messageOf(error).split('\n')[0]}`);
        await systemClock.sleep(superviseEveryMs);
      }
    }
  }

  async #end(how: 'kill' | 'stop'): Promise<void> {
    this.#turn++;
    const ending = this.#running;
    this.#running = null;
    if (ending === null) return;
    if (how === 'kill') return ending.kill();
    const timeout = new AbortController();
    const inTime = await Promise.race([
      ending.stop().then(() => true),
      systemClock.sleep(endsWithinMs, timeout.signal).then(() => false),
    ]);
    timeout.abort();
    if (inTime) return;
    await ending.kill();
    throw new Error(`${this.name} did not end within ${endsWithinMs} ms of SIGTERM`);
  }

  async #onExit(turn: number): Promise<void> {
    if (turn !== this.#turn) return;
    this.#running = null;
    this.#say(this.name, 'ended by itself');
    await systemClock.sleep(superviseEveryMs);
    if (turn === this.#turn) await this.#keepUp();
  }

  #setClock(shiftMs: number): void {
    if (this.#clockFile !== null)
      writeFileSync(this.#clockFile, `${shiftMs < 0 ? '-' : '+'}${Math.abs(shiftMs) / 1000}`);
  }
}

/** One that comes back at the same address with the same data. */
export interface Server {
  readonly pid: number | null;
  kill(): Promise<void>;
  restart(): Promise<void>;
  close(): Promise<void>;
}

/** Kafka or InfluxDB. */
export class ServerPart implements Part {
  readonly name: string;
  readonly kinds: [FaultKind, ...FaultKind[]] = ['kill', 'freeze'];
  readonly #server: Server;

  constructor(name: string, server: Server) {
    this.name = name;
    this.#server = server;
  }

  async suffer({ kind, forMs }: Fault): Promise<void> {
    if (kind === 'freeze') return freeze(this.#server.pid ?? undefined, forMs);
    await this.#server.kill();
    await systemClock.sleep(forMs);
    await this.#server.restart();
  }

  close(): Promise<void> {
    return this.#server.close();
  }
}

/** A small disk of its own for the data folder, that can be filled to its last byte. Needs root on Linux. */
export class DiskPart implements Part {
  readonly name = 'disk';
  readonly kinds: [FaultKind] = ['fill'];
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  static canMount(): boolean {
    return process.platform === 'linux' && process.getuid?.() === 0;
  }

  async start(sizeMiB: number): Promise<void> {
    await mkdir(this.#folder, { recursive: true });
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${sizeMiB}m`, 'tmpfs', this.#folder]);
  }

  async suffer({ forMs }: Fault): Promise<void> {
    const ballast = join(this.#folder, 'ballast');
    const file = await open(ballast, 'w');
    try {
      await fill(file);
      await systemClock.sleep(forMs);
    } finally {
      await file.close();
      await rm(ballast);
    }
  }

  /** What was on it is in the folder afterwards. */
  async close(): Promise<void> {
    const kept = `${this.#folder}.kept`;
    await cp(this.#folder, kept, { recursive: true });
    execFileSync('umount', [this.#folder]);
    await rm(this.#folder, { recursive: true });
    await rename(kept, this.#folder);
  }
}

async function fill(file: FileHandle): Promise<void> {
  for (let chunk = Buffer.alloc(1024 * 1024); chunk.length > 0; ) {
    try {
      await file.write(chunk);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
      chunk = chunk.subarray(0, chunk.length >> 1);
    }
  }
}

async function freeze(pid: number | undefined, forMs: number): Promise<void> {
  if (pid === undefined) return;
  process.kill(pid, 'SIGSTOP');
  await systemClock.sleep(forMs);
  process.kill(pid, 'SIGCONT');
}

/** The clock as the file says (`+5`: five seconds ahead), looked at every second; timers are left alone. */
function movableClock(library: string, file: string): Record<string, string> {
  return {
    LD_PRELOAD: library,
    FAKETIME_TIMESTAMP_FILE: file,
    FAKETIME_CACHE_DURATION: '1',
    FAKETIME_DONT_FAKE_MONOTONIC: '1',
  };
}
