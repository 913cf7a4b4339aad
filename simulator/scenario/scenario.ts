/** A scenario: which fleets there are, what they measure, what happens to them and what goes wrong. */
import type { FaultSpec } from '../faults/spec.ts';
import type { Fleet } from '../fleet.ts';
import { profileOf } from './compile.ts';
import { parseScenarioSpec } from './parse.ts';

export interface Scenario {
  readonly name: string;
  readonly description: string;
  readonly seed: number;
  readonly fleets: readonly Fleet[];
  readonly faults: readonly FaultSpec[];
}

/** Throws CONFIG_INVALID that lists every error of the file. */
export function parseScenario(text: string, fileName: string): Scenario {
  const { name, description, seed = 1, routes, profiles, fleets, events, faults } = parseScenarioSpec(text, fileName);
  return {
    name,
    description,
    seed,
    faults,
    fleets: fleets.map((fleet) => ({
      name: fleet.name,
      count: fleet.count,
      deviceName: fleet.device ?? `${fleet.name}-{n}`,
      sites: fleet.sites,
      intervalMs: fleet.interval,
      jitter: fleet.jitter,
      profile: profileOf(profiles[fleet.profile]!, routes, events),
    })),
  };
}
