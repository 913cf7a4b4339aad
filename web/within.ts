import type { Clock } from '../core/clock.ts';

/** What `work` gives, or the rejection `tooLate` after `withinMs`. The work itself goes on. */
export async function within<T>(clock: Clock, withinMs: number, work: Promise<T>, tooLate: Error): Promise<T> {
  const done = new AbortController();
  const timeout = clock.sleep(withinMs, done.signal).then(() => {
    throw tooLate;
  });
  timeout.catch(() => {});
  try {
    return await Promise.race([work, timeout]);
  } finally {
    done.abort();
  }
}
