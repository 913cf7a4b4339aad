import type { Clock } from '../core/clock.ts';

/** What `work` gives, or a rejection that says `what` took longer than `withinMs`. The work itself goes on. */
export async function within<T>(clock: Clock, withinMs: number, what: string, work: Promise<T>): Promise<T> {
  const done = new AbortController();
  const timeout = clock.sleep(withinMs, done.signal).then(() => {
    throw new Error(`${what}: no answer within ${withinMs} ms`);
  });
  timeout.catch(() => {});
  try {
    return await Promise.race([work, timeout]);
  } finally {
    done.abort();
  }
}
