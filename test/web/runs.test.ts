import { expect, test } from 'vitest';
import { emptyPartitionLedger } from '../../core/ledger.ts';
import { lagOfOwners } from '../../web/lag.ts';
import { Runs } from '../../web/runs.ts';
import { gatewayStatus, ledgerOf, processorStatus } from './harness.ts';

const day = 86_400_000;

test('totals go on over restarts of a gateway: the runs add up', () => {
  const runs = new Runs();
  runs.heard(gatewayStatus('a', 0, { received: 12, appended: 10, dropped: { qos0_over_cap: 2 } }, { clients: 3 }), 0);
  runs.heard(gatewayStatus('b', 60_000, { received: 5, appended: 4, held: 1 }, { clients: 2 }), 60_000);
  expect(runs.totals(60_000)).toMatchObject({ clients: 2, received: 17, appended: 14 });
  expect(runs.ledger()).toMatchObject({
    balanced: true,
    gateway: { received: 17, appended: 14, dropped: { qos0_over_cap: 2 }, held: 1 },
  });
});

test('a processor that starts again from its snapshot does not set the totals back', () => {
  const runs = new Runs();
  runs.heard(processorStatus('a', 0, { 0: 100, 1: 50 }, { rollupsWritten: 7, alertsRaised: 2 }), 0);
  runs.heard(processorStatus('b', 20_000, { 0: 90 }, { rollupsWritten: 1 }), 20_000);
  expect(runs.totals(20_000)).toMatchObject({ processed: 150, stored: 150, rollups: 8, alerts: 2 });
  runs.heard(processorStatus('b', 21_000, { 0: 110, 1: 50 }, { rollupsWritten: 2 }), 21_000);
  expect(runs.totals(21_000)).toMatchObject({ processed: 160, stored: 160, rollups: 9 });
});

test('one number per stage, from the ledger', () => {
  const ledger = {
    ...emptyPartitionLedger(10),
    nextOffset: 30,
    ticks: 4,
    messages: 16,
    decoded: 13,
    deadLettered: { not_json: 2, no_route: 1 },
    readings: 13,
    duplicates: 1,
    rejected: { future: 2 },
    accepted: 10,
    stored: 9,
    refused: { type_conflict: 1 },
    windowed: 7,
    late: 3,
  };
  const runs = new Runs();
  runs.heard(processorStatus('a', 0, { 0: ledger }), 0);
  expect(runs.ledger().imbalances).toEqual([]);
  expect(runs.totals(0)).toMatchObject({ processed: 20, stored: 9, deadLettered: 6, late: 3, duplicates: 1 });
});

test('a ledger that does not balance is named', () => {
  const runs = new Runs();
  runs.heard(gatewayStatus('a', 0, { received: 3, appended: 1 }), 0);
  runs.heard(processorStatus('p', 0, { 4: { ...ledgerOf(5), stored: 4 } }), 0);
  expect(runs.ledger()).toMatchObject({
    balanced: false,
    imbalances: [
      'gateway/a: received + inherited = appended + spooled + dropped + held: 3 against 1',
      'partition 4: accepted = stored + refused: 5 against 4',
    ],
  });
});

test('a run that is silent for five seconds is gone', () => {
  const runs = new Runs();
  runs.heard(gatewayStatus('a', 0, {}, { clients: 3 }), 0);
  expect(runs.living(4999).map(({ instance }) => instance)).toEqual(['a']);
  expect(runs.living(5000)).toEqual([]);
  expect(runs.totals(5000).clients).toBe(0);
});

test('runs that ended over a day ago are to be forgotten, and what they counted stays', () => {
  const runs = new Runs();
  runs.heard(gatewayStatus('a', 0, { received: 3, appended: 3 }), 0);
  runs.heard(processorStatus('p', 0, { 0: 3 }, { rollupsWritten: 5, alertsRaised: 1 }), 0);
  runs.heard(gatewayStatus('b', day, { received: 1, appended: 1 }), day);
  expect(runs.forgettable(day)).toEqual([]);
  expect(runs.forgettable(day + 1)).toEqual(['gateway/a', 'processor/p']);
  const before = { totals: runs.totals(day), ledger: runs.ledger() };
  for (const key of runs.forgettable(day + 1)) runs.forget(key);
  expect({ totals: runs.totals(day), ledger: runs.ledger() }).toEqual(before);
  expect(runs.forgettable(day + 1)).toEqual([]);
});

test('the lag is what the owners of all partitions say; unknown while one has no owner, or one is not ready', () => {
  const behind = processorStatus('a', 10_000, { 0: 100 });
  const { ledger } = behind.partitions[0]!;
  const partitions = { 0: { position: 100, endOffset: 140, clockMs: 7000, ledger } };
  const a = { ...behind, partitions };
  const b = processorStatus('b', 10_000, { 1: 30 });
  expect(lagOfOwners([a, b], 2)).toEqual({ records: 40, seconds: 3 });
  expect(lagOfOwners([b, processorStatus('a', 10_000, { 0: 140 })], 2)).toEqual({ records: 0, seconds: 0 });
  expect(lagOfOwners([a], 2)).toBeNull();
  expect(lagOfOwners([a, { ...b, ready: false }], 2)).toBeNull();
  expect(lagOfOwners([], 2)).toBeNull();
});
