/** How long it takes from a device's publish until a question to the store finds the reading, while a fleet is sending. */
import { connectAsync } from 'mqtt';
import { systemClock } from '../../core/clock.ts';
import { eventually } from '../../test/support/eventually.ts';
import type { Contender } from './contender.ts';
import { type FleetLoad, runFleet } from './fleet.ts';

export interface QueryableFigures {
  readonly probes: number;
  readonly p50Ms: number;
  readonly maxMs: number;
}

const probeEveryMs = 500;
const askEveryMs = 20;
const [site, device] = ['probes', 'probe'];

export async function measureQueryable(contender: Contender, load: FleetLoad): Promise<QueryableFigures> {
  const fleet = runFleet(contender.mqttPort, load);
  const client = await connectAsync(`mqtt://127.0.0.1:${contender.mqttPort}`);
  const foundMs: number[] = [];
  try {
    const untilMs = performance.now() + load.seconds * 1000;
    while (performance.now() < untilMs) {
      foundMs.push(await probe(client, contender));
      await systemClock.sleep(probeEveryMs);
    }
  } finally {
    await client.endAsync();
    await fleet;
  }
  foundMs.sort((a, b) => a - b);
  const at = (part: number) => Math.round(foundMs[Math.ceil(part * foundMs.length) - 1]!);
  return { probes: foundMs.length, p50Ms: at(0.5), maxMs: at(1) };
}

async function probe(client: Awaited<ReturnType<typeof connectAsync>>, { store }: Contender): Promise<number> {
  const ts = systemClock.nowMs();
  const startedAtMs = performance.now();
  await client.publishAsync(`iot/${site}/${device}/telemetry`, JSON.stringify({ ts, temperature: 20 }), { qos: 1 });
  await eventually(async () => (await store.readings(site, device, ts, ts + 1)).length > 0, {
    withinMs: 60_000,
    everyMs: askEveryMs,
    what: 'a probe in the store',
  });
  return performance.now() - startedAtMs;
}
