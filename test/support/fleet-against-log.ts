/** A simulated fleet that remembers what was acknowledged, and the raw topic held against it. QoS 1. */

import type { Bus } from '../../bus/port.ts';
import { systemClock } from '../../core/clock.ts';
import { silentLogger } from '../../core/log.ts';
import { headers } from '../../core/topics.ts';
import type { Fleet } from '../../simulator/fleet.ts';
import { defaultSimulatorOptions, type SimulatorOptions } from '../../simulator/options.ts';
import { constant } from '../../simulator/signals.ts';
import { Simulator } from '../../simulator/simulator.ts';

export interface RememberingFleet {
  readonly simulator: Simulator;
  /** `seq` of what was acknowledged, by `site/device`. */
  readonly acknowledged: ReadonlyMap<string, readonly number[]>;
}

/** `count` devices that each send every `intervalMs`. */
export function plainFleet(name: string, count: number, intervalMs: number): Fleet {
  const profile = () => ({ temperature: constant(21.5) });
  return { name, count, deviceName: `${name}-{n}`, sites: ['lab'], intervalMs, jitter: 0.1, profile };
}

/** Publishes until it is stopped. */
export function startFleet(
  port: number,
  fleets: readonly Fleet[],
  over: Partial<SimulatorOptions> = {},
): RememberingFleet {
  const acknowledged = new Map<string, number[]>();
  const simulator = new Simulator(
    { ...defaultSimulatorOptions, scenario: 'test', fleets, broker: `mqtt://127.0.0.1:${port}`, ...over },
    {
      clock: systemClock,
      log: silentLogger,
      run: 'r1',
      onAcknowledged: ({ site, device, seq }) => {
        const key = `${site}/${device}`;
        const known = acknowledged.get(key);
        if (known === undefined) acknowledged.set(key, [seq]);
        else known.push(seq);
      },
    },
  );
  simulator.start();
  return { simulator, acknowledged };
}

/** What is wrong in the raw topic, in words; empty when everything acknowledged is there, and each device in order. */
export async function faultsOfLog({ acknowledged }: RememberingFleet, bus: Bus, topic: string): Promise<string[]> {
  const logged = await seqsByDevice(bus, topic);
  return [...acknowledged].flatMap(([device, seqs]) => {
    const own = logged.get(device) ?? [];
    const there = new Set(own);
    const lost = seqs.filter((seq) => !there.has(seq));
    // A device sends again what it does not know to be taken: of each message the first counts.
    const firsts = [...there];
    const late = firsts.filter((seq, i) => i > 0 && seq < firsts[i - 1]!);
    return [
      ...(lost.length > 0 ? [`${device}: acknowledged and lost: ${lost.join(', ')}`] : []),
      ...(late.length > 0 ? [`${device}: behind a newer one: ${late.join(', ')}`] : []),
    ];
  });
}

/** By `site/device`, in the order of the log; of what a gateway appended twice, the first. */
async function seqsByDevice(bus: Bus, topic: string): Promise<Map<string, number[]>> {
  const found = new Map<string, number[]>();
  const ids = new Set<string>();
  const following = await bus.follow(topic, 'beginning', (records) => {
    for (const { key, value, headers: names } of records) {
      const id = names[headers.ingestId];
      if (value === null || id === undefined || ids.has(id)) continue;
      ids.add(id);
      const { seq } = JSON.parse(value.toString()) as { seq: number };
      const known = found.get(key);
      if (known === undefined) found.set(key, [seq]);
      else known.push(seq);
    }
  });
  await following.close();
  return found;
}
