/** What a chain costs while all is well: CPU of all its server processes together, memory, and how long a PUBACK takes. */
import { cpuSeconds, peakMemoryBytes } from '../cpu.ts';
import type { Contender } from './contender.ts';
import { type Acknowledged, countOf, type FleetLoad, runFleet } from './fleet.ts';
import { difference, lastAreStored } from './stored.ts';

export interface CostFigures {
  readonly messages: number;
  /** CPU-seconds per million messages, from the first message until the last one is stored. */
  readonly cpuSecondsPerMillion: Readonly<Record<string, number>>;
  /** The most resident memory of each since it was started. */
  readonly peakMemoryMiB: Readonly<Record<string, number>>;
  readonly ackP50Ms: number;
  readonly ackP99Ms: number;
  /** From the last PUBACK until the store had everything; in half seconds. */
  readonly storedAfterSeconds: number;
  /** Acknowledged and not stored, although nothing was killed. */
  readonly lost: number;
}

const storedWithinMs = 120_000;

export async function measureCost(contender: Contender, warmUp: FleetLoad, load: FleetLoad): Promise<CostFigures> {
  await lastAreStored(contender.store, await runFleet(contender.mqttPort, warmUp), storedWithinMs);
  const before = mapValues(contender.pids(), cpuSeconds);
  const acknowledged = await runFleet(contender.mqttPort, load);
  const doneAtMs = performance.now();
  await lastAreStored(contender.store, acknowledged, storedWithinMs);
  const storedAfterSeconds = (performance.now() - doneAtMs) / 1000;
  const after = mapValues(contender.pids(), cpuSeconds);
  const messages = countOf(acknowledged);
  const { lost } = await difference(contender.store, acknowledged);
  return {
    messages,
    cpuSecondsPerMillion: withTotal(mapValues(after, (cpu, name) => ((cpu - before[name]!) / messages) * 1e6)),
    peakMemoryMiB: withTotal(mapValues(contender.pids(), (pid) => peakMemoryBytes(pid) / 1024 / 1024)),
    ackP50Ms: quantile(acknowledged, 0.5),
    ackP99Ms: quantile(acknowledged, 0.99),
    storedAfterSeconds: Math.round(storedAfterSeconds * 10) / 10,
    lost,
  };
}

function quantile(acknowledged: readonly Acknowledged[], part: number): number {
  const sorted = Float64Array.from(acknowledged.flatMap(({ acksMs }) => acksMs)).sort();
  return sorted[Math.ceil(part * sorted.length) - 1] ?? Number.NaN;
}

function mapValues<T>(of: Readonly<Record<string, number>>, to: (value: number, name: string) => T): Record<string, T> {
  return Object.fromEntries(Object.entries(of).map(([name, value]) => [name, to(value, name)]));
}

function withTotal(figures: Readonly<Record<string, number>>): Record<string, number> {
  const total = Object.values(figures).reduce((sum, figure) => sum + figure, 0);
  return mapValues({ total, ...figures }, (figure) => Math.round(figure * 10) / 10);
}
