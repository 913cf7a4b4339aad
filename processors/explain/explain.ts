/**
 * Where the number of a window comes from: the raw records since its start are put through the stages once more, and what
 * they write is held against what is stored. Reads the bus and the store, and changes nothing in them.
 */
import { z } from 'zod';
import type { Bus, BusRecord } from '../../bus/port.ts';
import { SluiceError } from '../../core/errors.ts';
import { partitionOf } from '../../core/partition.ts';
import { deviceKey, type Fields } from '../../core/reading.ts';
import { headers, type TopicNames } from '../../core/topics.ts';
import type { Store } from '../../store/port.ts';
import type { ProcessingOptions } from '../options.ts';
import { type Measurement, measurementsOf } from '../window/measurements.ts';
import {
  type Emission,
  type LatePlace,
  type Listed,
  list,
  type Place,
  type Readings,
  Recorder,
  type Target,
} from './recorder.ts';

export interface ExplainContext {
  /** Both started. */
  readonly bus: Bus;
  readonly store: Store;
  readonly topics: TopicNames;
  /** In force while the window was computed. */
  readonly options: ProcessingOptions;
  readonly progress: (text: string) => void;
}

export interface Question {
  readonly site: string;
  readonly device: string;
  readonly field: string;
  /** Measurement of the windows. */
  readonly name: string;
  /** A moment in the window; of windows that overlap, the last to begin is meant. */
  readonly timeUs: number;
}

/** Of `state_1m` one for each state, else one. */
export interface StoredPoint {
  readonly state: string | null;
  readonly stored: Fields | null;
  readonly recomputed: Fields | null;
  readonly isEqual: boolean;
}

export interface Explanation extends Omit<Question, 'timeUs'> {
  readonly startUs: number;
  /** Exclusive. */
  readonly endUs: number;
  readonly topic: string;
  readonly partition: number;
  /** Offsets that were put through the stages: from the first that may matter. */
  readonly fromOffset: number;
  readonly toOffset: number;
  /** Records before them are gone from the bus, and may have mattered. */
  readonly isCut: boolean;
  /** Nothing that comes can change the window. */
  readonly isSettled: boolean;
  readonly readings: Readonly<Readings>;
  readonly duplicates: Listed<Place>;
  readonly late: Listed<LatePlace>;
  readonly deadLettered: number;
  readonly emissions: Listed<Emission>;
  readonly points: readonly StoredPoint[];
}

const recordsAtOnce = 5000;
const progressEvery = 100_000;
const longestSessionMs = 86_400_000;
/** Readings without a time of their own are known again for a while, whatever the time at which they come. */
const marginMs = 600_000;

const lateReading = z.object({
  timeUs: z.number(),
  fields: z.record(z.string(), z.union([z.number(), z.boolean(), z.string()])),
  lateByMs: z.number(),
});

/**
 * `null` when there is no such window: of sessions, none is stored that holds the moment. Throws CONFIG_INVALID when no
 * windows of that name are written.
 */
export async function explainWindow(context: ExplainContext, question: Question): Promise<Explanation | null> {
  const { bus, topics, options } = context;
  const { name, site, device, field } = question;
  const measurement = measurementNamed(name, options);
  const key = deviceKey(site, device);
  const window = await boundsOf(context, question, measurement);
  if (window === null) return null;
  const target: Target = { key, field, measurement, ...window };
  const partition = partitionOf(key, await bus.partitionCount(topics.raw));
  const recorder = new Recorder(target, options);
  // Before it none of its readings can have come: what is further ahead of its receipt is rejected.
  const sinceMs = Math.floor(window.startUs / 1000) - options.maxFutureMs - Math.max(marginMs, options.latenessMs);
  const replayed = await replay(context, partition, sinceMs, recorder);
  await readLate(context, target, sinceMs, replayed.toOffset, recorder.late);
  const { readings, duplicates, late, deadLettered, emissions } = recorder;
  const points = compare(recorder, await storedPoints(context, question, window.startUs));
  return {
    ...{ site, device, field, name, ...window, topic: topics.raw, partition, ...replayed },
    ...{ isSettled: recorder.isSettled, readings, duplicates, late, deadLettered, emissions, points },
  };
}

/** Whether there is anything to tell. */
export function isEmpty({ readings, duplicates, late, points }: Explanation): boolean {
  return readings.count + duplicates.count + late.count === 0 && points.every(({ stored }) => stored === null);
}

function measurementNamed(name: string, options: ProcessingOptions): Measurement {
  const known = measurementsOf(options);
  const found = known.find((measurement) => measurement.name === name);
  if (found !== undefined) return found;
  const names = known.map((measurement) => measurement.name).join(', ');
  throw new SluiceError(
    'CONFIG_INVALID',
    `no windows ${name} are written under this configuration; there are ${names}`,
  );
}

async function boundsOf(
  { store }: ExplainContext,
  { site, device, field, name, timeUs }: Question,
  { windows }: Measurement,
): Promise<Pick<Target, 'startUs' | 'endUs'> | null> {
  if ('grid' in windows) {
    const startUs = windows.grid.startUs(timeUs);
    return { startUs, endUs: windows.grid.endUs(startUs + windows.spanUs) };
  }
  const stored = await store.windows({
    ...{ measurement: name, site, device, field },
    fromMs: timeUs / 1000 - longestSessionMs,
    toMs: Math.floor(timeUs / 1000) + 1,
  });
  const sessions = stored.map(({ timeUs: startUs, fields }) => ({
    startUs,
    endUs: startUs + Math.round(Number(fields.durationMs) * 1000) + windows.gapUs,
    isRetracted: fields.retracted === true,
  }));
  const found = sessions.findLast(
    ({ startUs, endUs, isRetracted }) => !isRetracted && startUs <= timeUs && timeUs < endUs,
  );
  return found === undefined ? null : { startUs: found.startUs, endUs: found.endUs };
}

/** Puts records through the stages, from a time on until the window is settled or there are no more. */
async function replay(
  { bus, topics, progress }: ExplainContext,
  partition: number,
  sinceMs: number,
  recorder: Recorder,
): Promise<{ fromOffset: number; toOffset: number; isCut: boolean }> {
  const sinceOffset = await bus.offsetAt(topics.raw, partition, sinceMs);
  const [oldest] = (await bus.read(topics.raw, partition, 0, 1)).records;
  const fromOffset = Math.max(sinceOffset, oldest?.offset ?? sinceOffset);
  let told = fromOffset;
  let next = fromOffset;
  for await (const { records, endOffset } of pages(bus, topics.raw, partition, fromOffset)) {
    for (const record of records) {
      recorder.take(record);
      next = record.offset + 1;
      if (recorder.isSettled) break;
    }
    if (recorder.isSettled) break;
    if (next - told < progressEvery) continue;
    told = next;
    progress(`read offsets ${fromOffset} to ${next} of ${endOffset} in partition ${partition}`);
  }
  return { fromOffset, toOffset: next, isCut: fromOffset > 0 && fromOffset === (oldest?.offset ?? fromOffset) };
}

/** Late readings of records that were not replayed: what nothing can change, a later record can still have been late for. */
async function readLate(
  { bus, topics }: ExplainContext,
  { key, field, measurement, startUs, endUs }: Target,
  sinceMs: number,
  fromOffset: number,
  late: Listed<LatePlace>,
): Promise<void> {
  const partition = partitionOf(key, await bus.partitionCount(topics.late));
  const start = await bus.offsetAt(topics.late, partition, sinceMs);
  let last: Place | null = null;
  for await (const { records } of pages(bus, topics.late, partition, start)) {
    for (const record of records) {
      const place = record.key === key ? latePlace(record) : null;
      if (place === null || place.offset < fromOffset || place.timeUs < startUs || place.timeUs >= endUs) continue;
      const value = place.fields[field];
      // They come in the order of their sources, but for those that are there twice.
      if (value === undefined || !measurement.isFor(field, value) || !isAfter(place, last)) continue;
      const { fields: _, ...told } = place;
      last = told;
      list(late, told);
    }
  }
}

function isAfter(place: Place, last: Place | null): boolean {
  if (last === null || place.offset > last.offset) return true;
  return place.offset === last.offset && place.index > last.index;
}

/** `null`: not a record of ours. */
function latePlace({ value, headers: own }: BusRecord): (LatePlace & { readonly fields: Fields }) | null {
  const offset = Number(own[headers.sourceOffset] ?? Number.NaN);
  if (value === null || !Number.isInteger(offset)) return null;
  try {
    const parsed = lateReading.safeParse(JSON.parse(value.toString()));
    return parsed.success
      ? { ...parsed.data, offset, index: Number(own[headers.sourceIndex] ?? 0), ingestId: '' }
      : null;
  } catch {
    return null;
  }
}

async function* pages(bus: Bus, topic: string, partition: number, fromOffset: number) {
  for (let next = fromOffset; ; ) {
    const page = await bus.read(topic, partition, next, recordsAtOnce);
    yield page;
    if (page.records.length === 0) return;
    next = page.records.at(-1)!.offset + 1;
    if (next >= page.endOffset) return;
  }
}

async function storedPoints(
  { store }: ExplainContext,
  { site, device, field, name }: Question,
  startUs: number,
): Promise<Map<string | null, Fields>> {
  const fromMs = Math.floor(startUs / 1000);
  const stored = await store.windows({ measurement: name, site, device, field, fromMs, toMs: fromMs + 1 });
  return new Map(
    stored.filter(({ timeUs }) => timeUs === startUs).map(({ tags, fields }) => [tags.state ?? null, fields]),
  );
}

function compare({ newest }: Recorder, stored: ReadonlyMap<string | null, Fields>): StoredPoint[] {
  const states = new Set([...newest.keys(), ...stored.keys()]);
  return [...states].map((state) => {
    const is = stored.get(state) ?? null;
    const recomputed = newest.get(state)?.fields ?? null;
    return { state, stored: is, recomputed, isEqual: is !== null && recomputed !== null && isSame(is, recomputed) };
  });
}

function isSame(a: Fields, b: Fields): boolean {
  const names = Object.keys(a);
  return names.length === Object.keys(b).length && names.every((name) => a[name] === b[name]);
}
