/**
 * Files that are read again when they change: users, certificates, keys. Looked at each second, which also sees what is
 * put in place of a mounted secret, and what a network file system does not tell. What cannot be used leaves what was
 * used before in force, and is said once in the log and for as long as it lasts in `/readyz`.
 */
import { readFile, stat } from 'node:fs/promises';
import type { Clock } from '../../core/clock.ts';
import { messageOf, SluiceError } from '../../core/errors.ts';
import type { Logger } from '../../core/log.ts';

const everyMs = 1000;
const maxBytes = 64 * 1024 * 1024;

export interface ReloadedContext<T> {
  /** The setting that names them, for messages. */
  readonly setting: string;
  readonly files: readonly string[];
  /** Of the files in their order. Throws what is wrong with them, without what is secret in them. */
  readonly parse: (contents: readonly Buffer[]) => T | Promise<T>;
  readonly clock: Clock;
  readonly log: Logger;
}

export class Reloaded<T> {
  /** What is wrong with what is there now; `null` when it is in force. */
  problem: string | null = null;
  readonly #context: ReloadedContext<T>;
  #value: T;
  #seen: string;
  #checking: Promise<void> | null = null;
  #onChange: (value: T) => void = () => {};
  #stop: () => void = () => {};

  private constructor(context: ReloadedContext<T>, value: T, seen: string) {
    this.#context = context;
    this.#value = value;
    this.#seen = seen;
  }

  /** Rejects with CONFIG_INVALID when the files cannot be used. */
  static async open<T>(context: ReloadedContext<T>): Promise<Reloaded<T>> {
    const { setting, files } = context;
    try {
      const seen = await signatureOf(files);
      return new Reloaded(context, await load(context), seen);
    } catch (error) {
      throw new SluiceError('CONFIG_INVALID', `${setting} (${files.join(', ')}) cannot be used: ${messageOf(error)}`);
    }
  }

  get value(): T {
    return this.#value;
  }

  /** `onChange` is told each new value. */
  start(onChange: (value: T) => void = () => {}): void {
    this.#onChange = onChange;
    this.#stop = this.#context.clock.every(everyMs, () => {
      this.#checking ??= this.#check().finally(() => {
        this.#checking = null;
      });
    });
  }

  close(): void {
    this.#stop();
  }

  async #check(): Promise<void> {
    const { setting, files, log } = this.#context;
    const seen = await signatureOf(files).catch(messageOf);
    if (seen === this.#seen) return;
    // Before they are read: what is written meanwhile is seen the next time.
    this.#seen = seen;
    try {
      this.#value = await load(this.#context);
    } catch (error) {
      this.problem = `${setting} (${files.join(', ')}) cannot be used: ${messageOf(error)}`;
      log.error(
        { setting, files, error: messageOf(error) },
        'a changed file cannot be used; what it said before stays in force',
      );
      return;
    }
    this.problem = null;
    log.info({ setting, files }, 'a changed file is in force');
    this.#onChange(this.#value);
  }
}

async function load<T>({ files, parse }: ReloadedContext<T>): Promise<T> {
  for (const file of files) {
    if ((await stat(file)).size > maxBytes) throw new Error(`${file} is larger than ${maxBytes} bytes`);
  }
  return parse(await Promise.all(files.map((file) => readFile(file))));
}

/** Other files, or other contents, have another one. */
async function signatureOf(files: readonly string[]): Promise<string> {
  const stats = await Promise.all(files.map((file) => stat(file, { bigint: true })));
  return stats.map(({ ino, size, mtimeNs, ctimeNs }) => [ino, size, mtimeNs, ctimeNs].join(':')).join();
}
