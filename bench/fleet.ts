/** What a reading costs the processor by the size of the fleet and by how often its devices report. */
import { type Load, measureProcessor, type ProcessorFigures } from './processor.ts';

const loads: readonly Load[] = [
  { devices: 10_000, readingsPerMinute: 60 },
  { devices: 10_000, readingsPerMinute: 6 },
  { devices: 1000, readingsPerMinute: 6 },
  { devices: 100_000, readingsPerMinute: 6 },
];

/** One after the other, each on topics and buckets of its own. */
export async function measureFleets(
  envOf: (part: string) => Record<string, string>,
  messages: number,
): Promise<Record<string, ProcessorFigures>> {
  const figures: Record<string, ProcessorFigures> = {};
  for (const load of loads) {
    const name = `${load.devices} devices, ${load.readingsPerMinute} readings a minute each`;
    figures[name] = await measureProcessor(envOf(`${load.devices}-${load.readingsPerMinute}`), messages, load);
  }
  return figures;
}
