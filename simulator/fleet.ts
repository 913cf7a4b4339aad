/** Which devices there are, and what each of them measures. */
import { randomStream } from './random.ts';
import { constant, counter, daily, decay, noise, randomWalk, type Signal, sine, spike, step, sum } from './signals.ts';

export interface DeviceIdentity {
  readonly site: string;
  readonly device: string;
  /** Number in the fleet, from 0. */
  readonly index: number;
}

/** What a kind of device measures: field name → signal. May differ from device to device. */
export type Profile = (identity: DeviceIdentity, seed: number) => Readonly<Record<string, Signal>>;

/** `count` devices, shared out among the sites in turn. Names are unique in the fleet. */
export function identities(count: number, sites: readonly string[]): DeviceIdentity[] {
  const digits = Math.max(2, String(count).length);
  return Array.from({ length: count }, (_, index) => ({
    site: sites[index % sites.length]!,
    device: `fridge-${String(index + 1).padStart(digits, '0')}`,
    index,
  }));
}

export const quickstartSites = ['cold-north', 'cold-harbour', 'cold-south'] as const;

const minuteMs = 60_000;
const dozen = 12;

/**
 * Cold rooms: 2 to 6 °C, until a door stays open. In the first of each dozen that happens 15 s after the start and then
 * every 4 minutes, long enough to cross the limit in `rules.yaml` and to come back; in the others now and then. The
 * eighth of each dozen has an old battery.
 */
export const quickstart: Profile = ({ index, device }, seed) => {
  const random = randomStream(seed, device, 'profile');
  const isFirst = index % dozen === 0;
  const door = isFirst
    ? { firstMs: 15_000, everyMs: 4 * minuteMs, lastsMs: 45_000 }
    : { firstMs: (2 + 10 * random()) * minuteMs, everyMs: (10 + 20 * random()) * minuteMs, lastsMs: 45_000 };
  const battery =
    index % dozen === 7
      ? { from: 16, to: 0, halfLifeMs: 30 * minuteMs }
      : { from: 60 + 38 * random(), to: 0, halfLifeMs: 7 * 24 * 60 * minuteMs };
  return {
    temperature: sum(
      2,
      sine({ mean: 3.2 + 1.2 * random(), amplitude: 0.5, periodMs: (3 + 4 * random()) * minuteMs }),
      spike({ height: 9, ...door }),
      noise(0.06),
    ),
    humidity: sum(
      1,
      daily({ mean: 62, amplitude: 4, peakHour: 15 }),
      randomWalk({ start: 0, perSecond: 0.25, min: -8, max: 8 }),
      spike({ height: 18, ...door }),
    ),
    battery: sum(1, decay(battery), noise(0.03)),
    compressor: step({ levels: [true, false], holdMs: 40_000 }),
    setpoint: constant(4),
    cycles: counter({ perSecond: 0.05, resetEveryMs: 60 * minuteMs }),
  };
};
