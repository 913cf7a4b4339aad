import { expect, test } from 'vitest';
import type { NewestReading, Store } from '../../store/port.ts';
import { NewestPoll } from '../../web/newest-poll.ts';
import { OnDemand } from '../../web/on-demand.ts';
import { ManualClock } from '../support/manual-clock.ts';

test('is done when asked, one at a time, and not again before its time', async () => {
  const clock = new ManualClock();
  let done = 0;
  const work = new OnDemand(clock, 500, async () => {
    done++;
  });
  await Promise.all([work.run(), work.run()]);
  clock.advance(499);
  await work.run();
  expect(done).toBe(1);
  clock.advance(1);
  await work.run();
  expect(done).toBe(2);
});

test('what takes long rests twice as long', async () => {
  const clock = new ManualClock();
  let done = 0;
  const work = new OnDemand(clock, 500, async () => {
    done++;
    clock.advance(1000);
  });
  await work.run();
  clock.advance(1999);
  await work.run();
  expect(done).toBe(1);
  clock.advance(1);
  await work.run();
  expect(done).toBe(2);
});

test('what failed is tried when asked next', async () => {
  const clock = new ManualClock();
  let fails = true;
  const work = new OnDemand(clock, 500, async () => {
    if (fails) throw new Error('down');
  });
  await expect(work.run()).rejects.toThrow('down');
  fails = false;
  await expect(work.run()).resolves.toBeUndefined();
});

test('newest values: first everything, then the last seconds, everything again when its cost allows', async () => {
  const clock = new ManualClock();
  const startMs = clock.nowMs();
  const askedSinceMs: number[] = [];
  const store: Pick<Store, 'newest'> = {
    newest: async (sinceMs): Promise<NewestReading[]> => {
      askedSinceMs.push(clock.nowMs() - sinceMs);
      clock.advance(100);
      return [];
    },
  };
  const poll = new NewestPoll(store, clock, () => {});
  for (let time = 0; time < 5; time++) {
    await poll.run();
    clock.advance(400);
  }
  const week = 7 * 86_400_000;
  // The wide question took 100 ms: the next one comes 2,000 ms after it.
  expect(askedSinceMs).toEqual([week, 10_500, 10_500, 10_500, 10_500]);
  expect(clock.nowMs() - startMs).toBe(2500);
  await poll.run();
  expect(askedSinceMs.at(-1)).toBe(week);
});
