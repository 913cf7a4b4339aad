/** The stored readings of one device in the order of their time, read in stretches of some ten thousand. */
import { isDeepStrictEqual } from 'node:util';
import type { Store, StoredReading } from '../../store/port.ts';
import type { Retrying } from './retrying.ts';
import type { Range } from './scope.ts';

const wantedReadings = 20_000;
const [shortestMs, firstMs, longestMs] = [60_000, 3_600_000, 31 * 86_400_000];

/**
 * Each once: `seq` is not stored, so a reading that came again when it was late (it is then stored beside the first) and
 * an equal one of the same moment cannot be told apart, and count as one.
 */
export async function* storedReadings(
  store: Store,
  site: string,
  device: string,
  { fromUs, toUs }: Range,
  retrying: Retrying,
): AsyncGenerator<StoredReading> {
  const toMs = toUs / 1000;
  let stretchMs = firstMs;
  for (let fromMs = fromUs / 1000; fromMs < toMs; ) {
    const untilMs = Math.min(fromMs + stretchMs, toMs);
    const readings = await retrying.until(() => store.readings(site, device, fromMs, untilMs));
    yield* eachOnce(readings);
    const factor = Math.min(8, wantedReadings / Math.max(1, readings.length));
    stretchMs = Math.round(Math.min(longestMs, Math.max(shortestMs, stretchMs * factor)));
    fromMs = untilMs;
  }
}

function* eachOnce(readings: readonly StoredReading[]): Generator<StoredReading> {
  let moment: StoredReading[] = [];
  for (const reading of readings) {
    if (moment[0]?.timeUs !== reading.timeUs) moment = [];
    if (moment.some(({ fields }) => isDeepStrictEqual(fields, reading.fields))) continue;
    moment.push(reading);
    yield reading;
  }
}
