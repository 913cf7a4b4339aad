/**
 * Crashes before and after every step of the commit order and at drawn records, rebalances, batches of 1 to 10,000 records
 * and a replay of the whole log into the same store: stored points, alerts, late readings, dead letters and the ledger are
 * those of a run that nothing disturbed, and the points those of the oracle. `SLUICE_ORACLE_DISTURBED=200`: more runs.
 */
import { expect, onTestFinished, test } from 'vitest';
import { emptyPartitionLedger, imbalances } from '../../core/ledger.ts';
import { randomStream } from '../../simulator/random.ts';
import type { CrashStep } from '../support/crash.ts';
import { emissionDifference } from '../support/oracle/compare.ts';
import { type Emission, placeOf } from '../support/oracle/emissions.ts';
import { recordOf } from '../support/oracle/events.ts';
import { outcomesOf } from '../support/oracle/oracle.ts';
import { type Case, drawCase, withAlerts } from '../support/oracle/stream.ts';
import { commitOrder, type Disturbances, PartitionLife, StoredPoints } from './disturbed.ts';
import { settingsOf } from './oracle-subject.ts';
import { openRig } from './rig.ts';

const lives = Number(process.env.SLUICE_ORACLE_DISTURBED ?? commitOrder.length);
const crashed = new Set<string>();

test.each(Array.from({ length: lives }, (_, n) => ({ seed: n + 1, call: commitOrder[n % commitOrder.length]! })))(
  'crashes before and after $call and all that follows leave what an undisturbed run leaves, seed $seed',
  { timeout: 60_000 },
  async ({ seed, call }) => {
    const drawn = withAlerts(drawCase(seed, { steps: 120 }));
    const crashes: CrashStep[] = [
      { call, when: 'before', nth: 1 },
      { call, when: 'after', nth: 2 },
    ];
    const calm = await livedThrough(drawn, { random: randomStream('calm'), crashes: [] });
    const disturbed = await livedThrough(drawn, { random: randomStream('disturbed', seed), crashes });
    expect(disturbed.contents).toEqual(calm.contents);
    expect(imbalances(disturbed.contents.ledger)).toEqual([]);
    expect(oracleDifferences(drawn, disturbed.points)).toEqual([]);
  },
);

test.skipIf(lives < commitOrder.length)('there was a crash before and after each step of the commit order', () => {
  const all = commitOrder.flatMap((call) => [`before ${call}`, `after ${call}`]);
  expect([...crashed].sort()).toEqual(all.sort());
});

async function livedThrough(drawn: Case, disturbances: Disturbances) {
  const { options, rules } = settingsOf(drawn.config);
  const rig = await openRig(rules);
  onTestFinished(() => rig.close());
  const { random } = disturbances;
  const snapshots = { snapshotEveryRecords: Math.ceil(50 ** random()), sessionTimeoutMs: 3000 };
  const log = drawn.events.map(recordOf);
  const stored = new StoredPoints();
  // The second: the whole log once more into the same store.
  const lives = random() < 0.5 ? [disturbances] : [disturbances, { random, crashes: [] }];
  let ledger = emptyPartitionLedger(0);
  for (const disturbed of lives) {
    const life = new PartitionLife(rig, stored, log, { options: { ...options, ...snapshots }, rules }, disturbed);
    ledger = await life.run();
    for (const step of life.crashes) crashed.add(step);
  }
  const points = [...stored.byPlace].sort(([a], [b]) => (a < b ? -1 : 1));
  const devices = [...new Set(drawn.events.flatMap((event) => ('device' in event ? [event.device] : [])))];
  const { readings, rollups, ...others } = await rig.contents(devices, 0, drawn.events.at(-1)!.atMs + 10 * 86_400_000);
  return {
    contents: { ledger, points: points.map(([place, { fields }]) => [place, fields]), readings, rollups, ...others },
    points: stored,
  };
}

/** Of what is stored of windows, against the last emission of each. */
function oracleDifferences({ events, config }: Case, { byPlace }: StoredPoints): string[] {
  const expected = new Map<string, Emission>();
  for (const { emissions } of outcomesOf(events, config, false)) {
    for (const emission of emissions) expected.set(placeOf(emission), emission);
  }
  const actual = new Map(
    [...byPlace.values()]
      .filter(({ point: { series } }) => series.bucket === 'rollup')
      .map(({ point: { series, timeUs, fields } }) => {
        const emission = { measurement: series.measurement, tags: series.tags, timeUs, fields };
        return [placeOf(emission), emission] as const;
      }),
  );
  const places = new Set([...expected.keys(), ...actual.keys()]);
  return [...places].flatMap((place) => emissionDifference(expected.get(place), actual.get(place)) ?? []);
}
