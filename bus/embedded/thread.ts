import { Worker } from 'node:worker_threads';
import { messageOf, SluiceError } from '../../core/errors.ts';
import type { Cancel, Reply, Request, ThreadOptions } from './protocol.ts';

/** Run from source, the thread is TypeScript too; in the published package both are JavaScript. */
const script = new URL(import.meta.url.endsWith('.ts') ? './worker.ts' : './worker.js', import.meta.url);

interface Pending {
  resolve(result: unknown): void;
  reject(error: Error): void;
}

/** What a thread can be asked: the name of each operation with its arguments and result. */
type OperationsOf<T> = { [K in keyof T]: (args: never) => unknown };

/** One of the two threads, seen from the main thread: asks, and gives the answer as a promise. */
export class Thread<Operations extends OperationsOf<Operations>> {
  readonly #worker: Worker;
  readonly #pending = new Map<number, Pending>();
  readonly #exited: Promise<void>;
  #nextId = 1;
  #ended: SluiceError | null = null;

  constructor(options: ThreadOptions) {
    this.#worker = new Worker(script, { workerData: options, transferList: [options.committed] });
    this.#worker.on('message', (replies: Reply[]) => this.#settle(replies));
    this.#worker.on('error', (error) => this.#end(`the ${options.role} thread of the bus failed: ${messageOf(error)}`));
    this.#exited = new Promise((resolve) => {
      this.#worker.on('exit', () => {
        this.#end(`the ${options.role} thread of the bus has ended`);
        resolve();
      });
    });
  }

  /** Why the thread answers nothing any more; `null` while it does. */
  get ended(): SluiceError | null {
    return this.#ended;
  }

  /** Rejects with BUS_UNAVAILABLE. `transfer` hands memory over instead of copying it. `signal` ends a waiting fetch early, with nothing. */
  call<K extends keyof Operations & string>(
    op: K,
    args: Parameters<Operations[K]>[0],
    { transfer = [], signal }: { transfer?: ArrayBuffer[]; signal?: AbortSignal } = {},
  ): Promise<ReturnType<Operations[K]>> {
    return this.#ask(op, args, transfer, signal) as Promise<ReturnType<Operations[K]>>;
  }

  /** Lets the thread close its file, and ends it. What it has not answered by then rejects. */
  async close(): Promise<void> {
    await this.#ask('close', null).catch(() => {});
    await this.#worker.terminate();
    await this.#exited;
  }

  #ask(op: string, args: unknown, transfer: ArrayBuffer[] = [], signal?: AbortSignal): Promise<unknown> {
    if (this.#ended !== null) return Promise.reject(this.#ended);
    const id = this.#nextId++;
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    this.#worker.postMessage({ id, op, args } satisfies Request, transfer);
    const cancel = () => this.#worker.postMessage({ cancel: id } satisfies Cancel);
    if (signal?.aborted) cancel();
    else signal?.addEventListener('abort', cancel, { once: true });
    const settled = () => signal?.removeEventListener('abort', cancel);
    this.#pending.set(id, {
      resolve: (result) => {
        settled();
        resolve(result);
      },
      reject: (error) => {
        settled();
        reject(error);
      },
    });
    return promise;
  }

  #settle(replies: readonly Reply[]): void {
    for (const reply of replies) {
      const pending = this.#pending.get(reply.id);
      this.#pending.delete(reply.id);
      if ('error' in reply) pending?.reject(new SluiceError(reply.error.code, reply.error.message));
      else pending?.resolve(reply.result);
    }
  }

  #end(why: string): void {
    this.#ended ??= new SluiceError('BUS_UNAVAILABLE', why);
    for (const pending of this.#pending.values()) pending.reject(this.#ended);
    this.#pending.clear();
  }
}
