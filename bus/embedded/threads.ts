import { MessageChannel } from 'node:worker_threads';
import type { Clock } from '../../core/clock.ts';
import { isSluiceError } from '../../core/errors.ts';
import type { ReaderOperations, WriterOperations } from './protocol.ts';
import { Thread } from './thread.ts';

const RETRY_AFTER_MS = 100;

export interface Threads {
  readonly writer: Thread<WriterOperations>;
  readonly reader: Thread<ReaderOperations>;
}

interface OpenOptions {
  readonly file: string;
  readonly lockTimeoutMs: number;
  readonly startTimeoutMs: number;
  readonly clock: Clock;
}

/** Starts both threads and opens the file in each; tries for `startTimeoutMs`, then rejects with BUS_UNAVAILABLE. */
export async function openThreads({ file, lockTimeoutMs, startTimeoutMs, clock }: OpenOptions): Promise<Threads> {
  const { port1, port2 } = new MessageChannel();
  const threads: Threads = {
    writer: new Thread({ file, lockTimeoutMs, role: 'writer', committed: port1 }),
    reader: new Thread({ file, lockTimeoutMs, role: 'reader', committed: port2 }),
  };
  const deadlineMs = clock.nowMs() + startTimeoutMs;
  for (;;) {
    try {
      // The writer first: it may have to make the file.
      await threads.writer.call('open', null);
      await threads.reader.call('open', null);
      return threads;
    } catch (error) {
      if (!isSluiceError(error, 'BUS_UNAVAILABLE') || clock.nowMs() >= deadlineMs) {
        await closeThreads(threads);
        throw error;
      }
      await clock.sleep(RETRY_AFTER_MS);
    }
  }
}

export async function closeThreads({ writer, reader }: Threads): Promise<void> {
  await Promise.all([writer.close(), reader.close()]);
}
