/** A thread of the embedded store, and how calls cross over to it and back. */
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type MessagePort, Worker } from 'node:worker_threads';
import { messageOf, StoreUnavailableError } from '../../core/errors.ts';

interface Question {
  readonly id: number;
  readonly name: string;
  readonly args: readonly unknown[];
}

type Answer = { readonly id: number; readonly value: unknown } | { readonly id: number; readonly error: string };

type Calls<Names> = { [Name in keyof Names]: (...args: never[]) => unknown };

/** The asking side: a thread that starts with the first call, and again with the next one after it has died. */
export class StoreThread<Names extends Calls<Names>> {
  readonly #module: string;
  readonly #file: string;
  #worker: Worker | null = null;
  #pending = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>();
  #asked = 0;
  #closed = false;

  /** `module` is beside this file, without extension: `.ts` in the repository, `.js` in the package. */
  constructor(module: 'writer' | 'reader', file: string) {
    this.#module = module;
    this.#file = file;
  }

  /** Rejects with StoreUnavailableError. */
  call<Name extends keyof Names & string>(
    name: Name,
    ...args: Parameters<Names[Name]>
  ): Promise<ReturnType<Names[Name]>> {
    return this.#ask(name, args) as Promise<ReturnType<Names[Name]>>;
  }

  /** Idempotent. What was asked before is answered. */
  async close(): Promise<void> {
    if (this.#closed) return;
    const worker = this.#worker;
    const closing = worker === null ? null : this.#ask('close', []);
    this.#closed = true;
    await closing;
    await worker?.terminate();
  }

  #ask(name: string, args: readonly unknown[]): Promise<unknown> {
    if (this.#closed) return Promise.reject(new StoreUnavailableError('the store is closed'));
    return new Promise((resolve, reject) => {
      this.#worker ??= this.#spawn();
      this.#asked += 1;
      this.#pending.set(this.#asked, { resolve, reject });
      this.#worker.postMessage({ id: this.#asked, name, args } satisfies Question);
    });
  }

  #spawn(): Worker {
    const url = new URL(`./${this.#module}${extname(fileURLToPath(import.meta.url))}`, import.meta.url);
    const worker = new Worker(url, { workerData: this.#file });
    let reason = 'it ended';
    worker.on('message', (answer: Answer) => {
      const asker = this.#pending.get(answer.id);
      this.#pending.delete(answer.id);
      if ('error' in answer) asker?.reject(new StoreUnavailableError(`embedded store: ${answer.error}`));
      else asker?.resolve(answer.value);
    });
    worker.on('error', (error) => {
      reason = messageOf(error);
    });
    worker.on('exit', () => {
      const left = [...this.#pending.values()];
      this.#pending.clear();
      this.#worker = null;
      for (const { reject } of left)
        reject(new StoreUnavailableError(`embedded store, ${this.#module} thread: ${reason}`));
    });
    return worker;
  }
}

type Handlers<Names extends Calls<Names>> = {
  [Name in keyof Names]: (
    ...args: Parameters<Names[Name]>
  ) => ReturnType<Names[Name]> | Promise<ReturnType<Names[Name]>>;
};

/** The answering side. A handler may resolve later; questions that come meanwhile are taken. */
export function answerCalls<Names extends Calls<Names>>(
  port: MessagePort,
  handlers: Handlers<Names> & { close(): void },
): void {
  const byName = handlers as unknown as Record<string, (...args: readonly unknown[]) => unknown>;
  const answer = async ({ id, name, args }: Question): Promise<Answer> => {
    try {
      return { id, value: await byName[name]!(...args) };
    } catch (error) {
      return { id, error: messageOf(error) };
    }
  };
  port.on('message', async (question: Question) => port.postMessage(await answer(question)));
}
