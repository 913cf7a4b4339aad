/**
 * The writing thread. Group commit: everything that was asked while one transaction was being committed goes into the
 * next, so that one fsync serves all; every answer is sent after COMMIT has returned.
 */
import type { MessagePort } from 'node:worker_threads';
import { BatchLog } from './batch-log.ts';
import { Database, unavailable } from './database.ts';
import { Leases } from './leases.ts';
import type { AppendArgs, Reply, Request, ThreadOptions, WriterOperations } from './protocol.ts';
import { Retention } from './retention.ts';
import { TopicTable } from './topic-table.ts';

/** A transaction takes what is waiting up to about so much. */
const TRANSACTION_BYTES = 8 * 1024 * 1024;

/**
 * SQLite's lock knows no queue: a writer that is always busy would keep other processes out. So after this long without
 * a pause it leaves the lock alone for two attempts of theirs.
 */
const BUSY_MS = 20;
const PAUSE_MS = 1;

export function runWriter(port: MessagePort, options: ThreadOptions): void {
  const writer = new Writer(port, options);
  port.on('message', (request: Request) => writer.take(request));
}

class Writer {
  readonly #port: MessagePort;
  readonly #options: ThreadOptions;
  #operations: WriterOperations | null = null;
  #database: Database | null = null;
  #log: BatchLog | null = null;
  #queue: Request[] = [];
  #scheduled = false;
  #lastCommitAt = 0;
  #busySince = 0;

  constructor(port: MessagePort, options: ThreadOptions) {
    this.#port = port;
    this.#options = options;
  }

  take(request: Request): void {
    if (request.op === 'open') this.#port.postMessage([this.#attempt(request, () => this.#open())]);
    else if (request.op === 'close') this.#port.postMessage([this.#attempt(request, () => this.#database?.close())]);
    else {
      this.#queue.push(request);
      this.#schedule();
    }
  }

  #open(): void {
    if (this.#database !== null) return;
    const database = new Database(this.#options.file, this.#options.lockTimeoutMs);
    const log = new BatchLog(database);
    const topics = new TopicTable(database);
    const leases = new Leases(database);
    const retention = new Retention(database);
    const ping = database.sqlite.prepare('UPDATE health SET pinged_ms = ?');
    this.#database = database;
    this.#log = log;
    this.#operations = {
      open: () => {},
      close: () => {},
      // Writes, so that a full or read-only disk shows.
      ping: ({ nowMs }) => void ping.run(nowMs),
      append: (args) => log.append(args),
      createTopics: (specs) => topics.create(specs),
      group: ({ topicId, name }) => leases.group(topicId, name),
      tend: (args) => leases.tend(args),
      commit: (args) => leases.commit(args),
      leave: ({ groupId, memberId }) => leases.leave(groupId, memberId),
      retain: ({ nowMs, tombstoneRetentionMs }) => retention.slice(nowMs, tombstoneRetentionMs),
      trim: ({ partitionId, offset }) => retention.trim(partitionId, offset),
    };
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    const now = performance.now();
    const paused = now - this.#lastCommitAt >= PAUSE_MS;
    if (paused || now - this.#busySince < BUSY_MS) setImmediate(() => this.#commitWaiting());
    else setTimeout(() => this.#commitWaiting(), PAUSE_MS);
  }

  #commitWaiting(): void {
    this.#scheduled = false;
    const startedAt = performance.now();
    if (startedAt - this.#lastCommitAt >= PAUSE_MS) this.#busySince = startedAt;
    const group = this.#nextGroup();
    this.#port.postMessage(this.#commit(group));
    this.#options.committed.postMessage(null);
    this.#lastCommitAt = performance.now();
    if (this.#queue.length > 0) this.#schedule();
  }

  /** The requests of the next transaction, in order; a retention slice has one of its own, which keeps both short. */
  #nextGroup(): Request[] {
    let bytes = 0;
    let count = 0;
    for (const request of this.#queue) {
      if (request.op === 'retain' && count > 0) break;
      if (request.op === 'append') bytes += (request.args as AppendArgs).bytes.length;
      if (bytes > TRANSACTION_BYTES && count > 0) break;
      count++;
      if (request.op === 'retain') break;
    }
    return this.#queue.splice(0, count);
  }

  #commit(group: readonly Request[]): Reply[] {
    try {
      if (this.#database === null) throw new Error('it is not open');
      return this.#database.transaction(() => {
        const replies = group.map((request): Reply => ({ id: request.id, result: this.#run(request) }));
        this.#log?.flush();
        return replies;
      });
    } catch (error) {
      this.#log?.discard();
      const { code, message } = unavailable(this.#options.file, error);
      return group.map(({ id }) => ({ id, error: { code, message } }));
    }
  }

  #run({ op, args }: Request): unknown {
    const operation = this.#operations?.[op as keyof WriterOperations] as (args: unknown) => unknown;
    return operation(args);
  }

  #attempt({ id }: Request, work: () => void): Reply {
    try {
      work();
      return { id, result: null };
    } catch (error) {
      const { code, message } = unavailable(this.#options.file, error);
      return { id, error: { code, message } };
    }
  }
}
