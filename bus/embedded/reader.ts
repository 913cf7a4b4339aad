/**
 * The reading thread. It holds no transaction between two answers, so that the write-ahead log can always be taken
 * over. Who waits for records is woken by our own writer at once, and by other processes' within `POLL_MS`: SQLite's
 * `data_version` changes when another connection commits, and costs microseconds to ask.
 */
import type { MessagePort } from 'node:worker_threads';
import { BatchReader } from './batch-reader.ts';
import { Database, unavailable } from './database.ts';
import type { Cancel, FetchArgs, Fetched, ReaderOperations, Reply, Request, ThreadOptions } from './protocol.ts';
import { TopicTable } from './topic-table.ts';

const POLL_MS = 10;

export function runReader(port: MessagePort, options: ThreadOptions): void {
  const reader = new Reader(port, options);
  port.on('message', (message: Request | Cancel) => {
    if ('cancel' in message) reader.cancel(message.cancel);
    else reader.take(message);
  });
  options.committed.on('message', () => reader.wake());
}

class Reader {
  readonly #port: MessagePort;
  readonly #options: ThreadOptions;
  readonly #waiting = new Map<number, FetchArgs>();
  #operations: ReaderOperations | null = null;
  #batches: BatchReader | null = null;
  #dataVersion: () => number = () => 0;
  #seenVersion = 0;
  #poll: NodeJS.Timeout | null = null;

  constructor(port: MessagePort, options: ThreadOptions) {
    this.#port = port;
    this.#options = options;
  }

  take(request: Request): void {
    this.#answer(request.id, () => {
      if (request.op === 'open') return this.#open();
      const operation = this.#operations?.[request.op as keyof ReaderOperations] as (args: unknown) => unknown;
      const result = operation(request.args) ?? null;
      if (request.op !== 'fetch' || !isPending(request.args as FetchArgs, result as Fetched)) return result;
      this.#wait(request.id, request.args as FetchArgs);
      return undefined;
    });
  }

  /** Tries again what waits, when anything was committed since. */
  wake(): void {
    if (this.#waiting.size === 0) return;
    const version = this.#dataVersion();
    if (version === this.#seenVersion) return;
    this.#seenVersion = version;
    const ends = this.#endOffsets();
    for (const [id, args] of this.#waiting) {
      // Followers are many, and what was committed is news to few of them.
      if (args.fromOffset >= (ends.get(args.partitionId) ?? Number.POSITIVE_INFINITY)) continue;
      this.#answer(id, () => {
        const fetched = this.#operations?.fetch(args);
        return fetched === undefined || isPending(args, fetched) ? undefined : fetched;
      });
    }
  }

  cancel(id: number): void {
    const args = this.#waiting.get(id);
    if (args === undefined) return;
    const { fromOffset } = args;
    this.#answer(id, () => ({ bytes: new Uint8Array(0), batches: [], nextOffset: fromOffset, endOffset: fromOffset }));
  }

  /** None where they cannot be read: who is asked then says why. */
  #endOffsets(): ReadonlyMap<number, number> {
    try {
      return this.#batches?.endOffsets() ?? new Map();
    } catch {
      return new Map();
    }
  }

  #open(): null {
    if (this.#operations !== null) return null;
    const database = new Database(this.#options.file, this.#options.lockTimeoutMs);
    const batches = new BatchReader(database);
    const topics = new TopicTable(database);
    this.#batches = batches;
    const version = database.sqlite.prepare('PRAGMA data_version');
    this.#dataVersion = () => (version.get() as { data_version: number }).data_version;
    this.#operations = {
      open: () => {},
      close: () => database.close(),
      topic: ({ name }) => topics.find(name),
      endOffsets: ({ topicId }) => topics.endOffsets(topicId),
      kept: ({ topicId }) => batches.kept(topicId),
      fetch: (args) => batches.fetch(args),
      lag: ({ topicId, group }) => batches.lag(topicId, group),
      committed: ({ topicId, group }) => batches.committed(topicId, group),
      offsetAt: ({ partitionId, timestampMs }) => batches.offsetAt(partitionId, timestampMs),
    };
    return null;
  }

  #wait(id: number, args: FetchArgs): void {
    this.#waiting.set(id, args);
    this.#poll ??= setInterval(() => this.wake(), POLL_MS);
  }

  /** Sends what `work` gives, or its error; `undefined` means: not yet. */
  #answer(id: number, work: () => unknown): void {
    let reply: Reply;
    try {
      const result = work();
      if (result === undefined) return;
      reply = { id, result };
    } catch (error) {
      const { code, message } = unavailable(this.#options.file, error);
      reply = { id, error: { code, message } };
    }
    this.#waiting.delete(id);
    if (this.#waiting.size === 0 && this.#poll !== null) {
      clearInterval(this.#poll);
      this.#poll = null;
    }
    this.#port.postMessage([reply], transferOf(reply));
  }
}

/** Nothing there, and whoever asked would rather wait. Where the records before the end are gone, going on there is news. */
function isPending(args: FetchArgs, fetched: Fetched): boolean {
  return args.wait && fetched.batches.length === 0 && fetched.nextOffset === args.fromOffset;
}

function transferOf(reply: Reply): ArrayBuffer[] {
  if (!('result' in reply) || reply.result === null || typeof reply.result !== 'object') return [];
  return 'bytes' in reply.result ? [(reply.result as Fetched).bytes.buffer] : [];
}
