/** Waiting that has an end. The work that was waited for goes on. */
import type { Clock } from './clock.ts';

/** Whether `work` is done within `withinMs`. Rejects as it does, when that is in time. */
export async function endsWithin(clock: Clock, withinMs: number, work: Promise<unknown>): Promise<boolean> {
  const ended = new AbortController();
  const tooLate = clock.sleep(withinMs, ended.signal).then(() => false);
  try {
    return await Promise.race([work.then(() => true), tooLate]);
  } finally {
    ended.abort();
  }
}

/** What `work` gives, or the rejection `tooLate` after `withinMs`. */
export async function within<T>(clock: Clock, withinMs: number, work: Promise<T>, tooLate: Error): Promise<T> {
  if (await endsWithin(clock, withinMs, work)) return work;
  throw tooLate;
}
