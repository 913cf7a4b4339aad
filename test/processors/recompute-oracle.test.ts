/**
 * What `sluice recompute` leaves against the oracle: streams drawn from seeds, whose late readings are in no window, and
 * after it are in those that they would have been in had nothing ever been late. `SLUICE_RECOMPUTE_SEEDS` for more.
 */
import { expect, test } from 'vitest';
import type { Fields } from '../../core/reading.ts';
import { emissionDifference } from '../support/oracle/compare.ts';
import type { CaseConfig } from '../support/oracle/config.ts';
import type { Emission } from '../support/oracle/emissions.ts';
import type { Sent, StreamEvent } from '../support/oracle/events.ts';
import { endingAt, expectedOf, newestMs, newRecordsOf } from '../support/oracle/partitions.ts';
import { drawCase } from '../support/oracle/stream.ts';
import { settingsOf } from './oracle-subject.ts';
import { openLab, type Points } from './recompute-rig.ts';

const count = Number(process.env.SLUICE_RECOMPUTE_SEEDS ?? 3);
const dayMs = 86_400_000;
/** Longer than any window, lateness or out-of-orderness that is drawn. */
const afterwardsMs = 5 * dayMs;
/** Within what the store keeps. */
const longestMs = 20 * dayMs;

test(
  `${count} streams: every window that is over holds all of its readings, and the rest stays as it is`,
  async () => {
    const seen = { late: 0, changed: 0, retracted: 0 };
    for (let seed = 1, done = 0; done < count; seed++) {
      const { config, events } = drawCase(seed);
      if (newestMs(events) - events[0]!.atMs > longestMs) continue;
      done++;
      const differences = await differencesAfterwards(config, events, seen);
      expect(differences, `seed ${seed} ${JSON.stringify(config)}`).toEqual([]);
    }
    expect(seen.late).toBeGreaterThan(0);
    expect(seen.changed).toBeGreaterThan(0);
  },
  20_000 + count * 10_000,
);

async function differencesAfterwards(
  drawn: CaseConfig,
  events: readonly StreamEvent[],
  seen: { late: number; changed: number; retracted: number },
): Promise<string[]> {
  const config = { ...drawn, rules: [] };
  const stream = withoutTies(endingAt(events, Date.now() - afterwardsMs));
  const lastMs = newestMs(stream);
  const all = [...stream, ...lastReadings(stream, lastMs + afterwardsMs)];
  const lab = await openLab(settingsOf(config).options);
  await lab.append(all.flatMap((event) => newRecordsOf(event, lab.backend.config.topics.partitions)));
  await lab.process();
  const before = await lab.points();

  const range = { fromUs: 0, toUs: (lastMs + afterwardsMs) * 1000 + 1 };
  const summary = await lab.recompute(range);
  const after = await lab.points();
  seen.late += lab.ledgers().reduce((sum, { late }) => sum + late, 0);
  for (const { changed, skipped } of Object.values(summary.measurements)) {
    seen.changed += changed;
    expect(Object.keys(skipped).filter((reason) => reason !== 'unsettled')).toEqual([]);
  }

  // Had nothing been late, and nothing forgotten.
  const unlimited = { ...config, latenessMs: 1e12, forgetAfterMs: 1e12 };
  const { points } = expectedOf(all, unlimited, lab.backend.config.topics.partitions);
  const again = await lab.recompute(range);
  expect(Object.values(again.measurements).map(({ added, changed }) => added + changed)).toEqual(
    Object.keys(again.measurements).map(() => 0),
  );
  return [...differencesOf(points, after, lastMs * 1000), ...revisionsThatFell(before, after)];
}

function differencesOf(expected: ReadonlyMap<string, Emission>, stored: Points, settledUs: number): string[] {
  const places = new Set([...expected.keys(), ...stored.keys()]);
  return [...places].flatMap((place) => {
    const must = alive(expected.get(place));
    const is = alive(stored.get(place));
    const timeUs = must?.timeUs ?? is?.timeUs;
    // The windows of the last readings, and those that they are in, are open.
    if (timeUs === undefined || timeUs > settledUs) return [];
    return emissionDifference(must && comparable(must), is && comparable(is)) ?? [];
  });
}

/** What was retracted, or did not last, says that there is nothing. */
function alive<T extends Omit<Emission, 'values'>>(point: T | undefined): T | undefined {
  const { retracted, durationMs, entries } = (point?.fields ?? {}) as Fields;
  return retracted === true || (durationMs === 0 && entries === 0) ? undefined : point;
}

function comparable<T extends Omit<Emission, 'values'>>(point: T): T {
  return { ...point, fields: { ...point.fields, revision: 0 } };
}

function revisionsThatFell(before: Points, after: Points): string[] {
  return [...before].flatMap(([place, { fields }]) => {
    const now = after.get(place)!.fields.revision!;
    return now >= fields.revision! ? [] : [`${place}: revision ${fields.revision} became ${now}`];
  });
}

/**
 * Each reading says when it was; those of one moment are equal. What is stored has neither `seq` nor the order in which
 * readings of one moment came.
 */
function withoutTies(events: readonly StreamEvent[]): StreamEvent[] {
  const contents = new Map<string, string>();
  return events.flatMap((event): StreamEvent[] => {
    if (event.kind !== 'sent') return [event];
    const timeUs = event.timeUs ?? event.atMs * 1000;
    const place = `${event.device} ${timeUs}`;
    const content = JSON.stringify(Object.entries(event.fields).sort(([a], [b]) => (a < b ? -1 : 1)));
    if ((contents.get(place) ?? content) !== content) return [];
    contents.set(place, content);
    return [{ ...event, timeUs, seq: null }];
  });
}

/** Of each device one more, so long afterwards that all before it is settled. */
function lastReadings(events: readonly StreamEvent[], atMs: number): Sent[] {
  const devices = new Set(events.flatMap((event) => (event.kind === 'sent' ? [event.device] : [])));
  const appended = events.reduce((most, event) => (event.kind === 'tick' ? most : Math.max(most, event.appended)), 0);
  return [...devices].map((device, i) => ({
    ...{ kind: 'sent', device, atMs, timeUs: atMs * 1000, seq: null, fields: { beat: 1 } },
    appended: appended + 1 + i,
  }));
}
