/** The fleets of a scenario, made larger, quicker or moved, as the command line asks. */
import type { Fleet } from '../fleet.ts';

export interface Resize {
  /** Of all fleets together, shared out as the scenario shares them. */
  readonly devices?: number | undefined;
  /** Messages per second of all fleets together, shared out as the scenario shares them. */
  readonly rate?: number | undefined;
  readonly intervalMs?: number | undefined;
  readonly jitter?: number | undefined;
  readonly sites?: readonly string[] | undefined;
}

export function resized(fleets: readonly Fleet[], { devices, rate, intervalMs, jitter, sites }: Resize): Fleet[] {
  const counts = devices === undefined ? fleets.map(({ count }) => count) : shares(fleets, devices);
  const sized = fleets
    .map((fleet, i) => ({
      ...fleet,
      count: counts[i]!,
      intervalMs: intervalMs ?? fleet.intervalMs,
      jitter: jitter ?? fleet.jitter,
      sites: sites ?? fleet.sites,
    }))
    .filter(({ count }) => count > 0);
  if (rate === undefined) return sized;
  const slower = ratePerSecond(sized) / rate;
  return sized.map((fleet) => ({ ...fleet, intervalMs: fleet.intervalMs * slower }));
}

export function ratePerSecond(fleets: readonly Fleet[]): number {
  return fleets.reduce((total, { count, intervalMs }) => total + (1000 * count) / intervalMs, 0);
}

/** In whole devices: what is left over goes to the fleets with the largest remainders. */
function shares(fleets: readonly Fleet[], devices: number): number[] {
  const total = fleets.reduce((sum, { count }) => sum + count, 0);
  const exact = fleets.map(({ count }) => (devices * count) / total);
  const whole = exact.map(Math.floor);
  const left = devices - whole.reduce((sum, count) => sum + count, 0);
  const byRemainder = exact.map((share, i) => ({ i, remainder: share - whole[i]! }));
  byRemainder.sort((a, b) => b.remainder - a.remainder);
  for (const { i } of byRemainder.slice(0, left)) whole[i]!++;
  return whole;
}
