/** One-minute rollups of one device, recomputed from the samples that came in time. Only windows that must be closed are compared. */
import type { Fields } from '../core/reading.ts';
import type { Store } from '../store/port.ts';
import type { Findings } from './findings.ts';
import { minuteOf, minuteUs, type Reference, type Sample } from './reference.ts';
import type { DeviceTruth } from './truth-file.ts';

const minutesPerQuery = 10_000;

export async function compareRollups(
  { site, device, key }: DeviceTruth,
  { samples, watermarkUs }: Reference,
  closedBySilenceUs: number,
  store: Store,
  findings: Findings,
): Promise<void> {
  for (const [field, values] of samples) {
    const windows = Map.groupBy(values, ({ timeUs }) => minuteOf(timeUs));
    const stored = await storedRollups(store, { site, device, field }, [...windows.keys()]);
    for (const [startUs, inWindow] of windows) {
      const endUs = startUs + minuteUs;
      const isFinal = endUs <= watermarkUs;
      if (!isFinal && endUs > closedBySilenceUs) {
        findings.openWindows++;
        continue;
      }
      findings.rollups++;
      compareWindow(`${field} ${isoOf(startUs)}`, key, inWindow, isFinal, stored.get(startUs), findings);
    }
    for (const startUs of stored.keys()) {
      if (windows.has(startUs)) continue;
      findings.add({ kind: 'rollup', device: key, text: `${field} ${isoOf(startUs)}: a rollup of no reading` });
    }
  }
}

function compareWindow(
  name: string,
  device: string,
  samples: readonly Sample[],
  isFinal: boolean,
  stored: Fields | undefined,
  findings: Findings,
): void {
  const expected = summaryOf(samples);
  if (stored === undefined) {
    findings.add({ kind: 'rollup', device, text: `${name}: missing, expected one of ${expected.count} readings` });
    return;
  }
  const { count } = stored;
  if (typeof count === 'number' && count > expected.count) {
    findings.add({
      kind: 'countedTwice',
      device,
      text: `${name}: counts ${count} readings, expected ${expected.count}`,
    });
    return;
  }
  // A sum may differ in its last bits with the order of its terms; nothing else may.
  const slack =
    1e-9 *
    Math.max(
      1,
      samples.reduce((sum, { value }) => sum + Math.abs(value), 0),
    );
  const differing = Object.entries(expected).filter(([part, value]) => {
    const other = stored[part];
    return typeof other !== 'number' || Math.abs(other - value) > (part === 'sum' || part === 'mean' ? slack : 0);
  });
  const different = differing.map(([part, value]) => `${part} ${stored[part]} instead of ${value}`);
  if (isFinal && stored.final !== true) different.push('not final');
  if (different.length > 0) findings.add({ kind: 'rollup', device, text: `${name}: ${different.join(', ')}` });
}

function summaryOf(samples: readonly Sample[]) {
  const values = samples.map(({ value }) => value);
  const sum = values.reduce((total, value) => total + value, 0);
  const ofOldest = samples.reduce((first, sample) => (sample.timeUs < first.timeUs ? sample : first));
  const ofNewest = samples.reduce((last, sample) => (sample.timeUs >= last.timeUs ? sample : last));
  return {
    count: values.length,
    sum,
    min: values.reduce((least, value) => Math.min(least, value)),
    max: values.reduce((most, value) => Math.max(most, value)),
    mean: sum / values.length,
    first: ofOldest.value,
    last: ofNewest.value,
  };
}

/** By window start, microseconds, from the first expected window to the last. */
async function storedRollups(
  store: Store,
  series: { readonly site: string; readonly device: string; readonly field: string },
  startsUs: number[],
): Promise<Map<number, Fields>> {
  const found = new Map<number, Fields>();
  startsUs.sort((a, b) => a - b);
  const lastMs = startsUs.at(-1)! / 1000;
  const sliceMs = (minutesPerQuery * minuteUs) / 1000;
  for (let fromMs = startsUs[0]! / 1000; fromMs <= lastMs; fromMs += sliceMs) {
    const toMs = Math.min(fromMs + sliceMs, lastMs + 1);
    const points = await store.rollups({ ...series, fromMs, toMs, limit: minutesPerQuery + 1 }, '1m');
    for (const { timeMs, fields } of points) found.set(timeMs * 1000, fields);
  }
  return found;
}

function isoOf(timeUs: number): string {
  return new Date(timeUs / 1000).toISOString();
}
