/** The store held against what was acknowledged: the same questions to all that are compared. */
import { systemClock } from '../../core/clock.ts';
import type { Store } from '../../store/port.ts';
import type { Acknowledged } from './fleet.ts';

const pollMs = 500;

/** Resolves when the last reading of every device is there, `false` when that takes longer. */
export async function lastAreStored(
  store: Store,
  acknowledged: readonly Acknowledged[],
  withinMs: number,
): Promise<boolean> {
  const lastMs = new Map(acknowledged.map(({ site, device, timesMs }) => [`${site}/${device}`, Math.max(...timesMs)]));
  const sinceMs = Math.min(...lastMs.values());
  const deadline = performance.now() + withinMs;
  while (performance.now() < deadline) {
    const newest = await store.newest(sinceMs, lastMs.size + 100);
    const there = newest.filter(({ site, device, timeMs }) => timeMs >= (lastMs.get(`${site}/${device}`) ?? Infinity));
    if (there.length === lastMs.size) return true;
    await systemClock.sleep(pollMs);
  }
  return false;
}

export interface Difference {
  /** Acknowledged and not in the store. */
  readonly lost: number;
  /** In the store beyond one for each that was acknowledged. */
  readonly storedTwice: number;
}

export async function difference(store: Store, acknowledged: readonly Acknowledged[]): Promise<Difference> {
  let [lost, storedTwice] = [0, 0];
  for (const { site, device, timesMs } of acknowledged) {
    const stored = await store.readings(site, device, Math.min(...timesMs), Math.max(...timesMs) + 1);
    const counts = new Map<number, number>();
    for (const { timeUs } of stored) counts.set(timeUs / 1000, (counts.get(timeUs / 1000) ?? 0) + 1);
    for (const timeMs of timesMs) {
      const count = counts.get(timeMs) ?? 0;
      if (count === 0) lost++;
      else storedTwice += count - 1;
    }
  }
  return { lost, storedTwice };
}
