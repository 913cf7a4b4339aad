/** A small fleet for tests: a sine with noise, a counter and a switch. */
import type { Fleet } from '../../simulator/fleet.ts';
import { counter, noise, rounded, sine, step, sum } from '../../simulator/signals.ts';

export function testFleet(over: Partial<Fleet> = {}): Fleet {
  return {
    name: 'rooms',
    count: 3,
    deviceName: 'room-{n}',
    sites: ['north', 'south'],
    intervalMs: 5,
    jitter: 0.1,
    profile: () => ({
      temperature: rounded(2, sum([sine({ mean: 20, amplitude: 3, periodMs: 60_000 }), noise(0.1)])),
      cycles: counter({ perSecond: 0.5, resetEveryMs: 3_600_000 }),
      open: step({ levels: [true, false], holdMs: 40_000 }),
    }),
    ...over,
  };
}
