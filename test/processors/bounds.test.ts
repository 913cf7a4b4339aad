/** What happens at each bound, and that no device can make the others wait (P4). */
import { expect, test } from 'vitest';
import { resolveConfig } from '../../core/config.ts';
import { imbalances } from '../../core/ledger.ts';
import { parseRules, type Rule } from '../../processors/rules/file.ts';
import { maxDevices, Topology } from '../../processors/topology.ts';
import { type Message, rawRecord, startMs } from './records.ts';

const { processing } = resolveConfig({ env: {}, flags: {}, readText: () => '' });
const DAY_MS = 86_400_000;

function topologyOf(messages: Iterable<Message | number>, rules: readonly Rule[] = []): Topology {
  const topology = new Topology(processing, rules, 0);
  let offset = 0;
  for (const message of messages) topology.process(rawRecord(message, offset++));
  topology.ledger.stored = topology.ledger.accepted;
  expect(imbalances(topology.ledger)).toEqual([]);
  return topology;
}

function times<T>(count: number, make: (n: number) => T): T[] {
  return Array.from({ length: count }, (_, n) => make(n));
}

test('of different readings at one time a thousand are kept apart; more are rejected, and cost no time', () => {
  const before = performance.now();
  const { ledger, outputs } = topologyOf(times(20_000, (n) => ({ atMs: n, payload: { ts: startMs, value: n } })));
  expect(performance.now() - before).toBeLessThan(5000);
  expect(ledger).toMatchObject({ accepted: 1000, windowed: 1000, rejected: { same_time: 19_000 } });
  expect(new Set(outputs.raw.map(({ point }) => point.k)).size).toBe(1000);
  expect(outputs.deadLetters).toHaveLength(19_000);
});

test('a device that sends more than can be remembered: what is no longer covered is late, never counted twice', () => {
  const count = 70_000;
  const reading = (n: number) => ({ atMs: n / 10, payload: { ts: startMs + n / 10, value: n } });
  const { ledger } = topologyOf([...times(count, reading), reading(0), reading(count - 1), reading(30_000)]);
  expect(ledger).toMatchObject({ accepted: count + 1, late: 1, duplicates: 2, windowed: count });
});

test('a device that invents field names fills its window and then is in no window; it is still stored', () => {
  const { ledger } = topologyOf(times(3000, (n) => ({ atMs: n, payload: { ts: startMs + n, [`f${n}`]: n } })));
  expect(ledger).toMatchObject({ accepted: 3000, windowed: 1024, notWindowed: { too_many_fields: 1976 } });
});

test('fields that no window has any longer make room for others; those that stay keep what they have', () => {
  const minute = (n: number, fields: object) => ({
    atMs: n * 60_000,
    payload: { ts: startMs + n * 60_000, ...fields },
  });
  const named = (prefix: string, from: number) =>
    Object.fromEntries(times(128, (n) => [`${prefix}${from + n}`, n] as const));
  let topology = new Topology({ ...processing, rollups: ['1m'] }, [], 0);
  let offset = 0;
  const take = (message: Message) => topology.process(rawRecord(message, offset++));
  for (let n = 0; n < 8; n++) take(minute(n / 10, named('f', n * 128)));
  take(minute(1, { g0: 1 }));
  expect(topology.ledger.notWindowed).toEqual({ too_many_fields: 1 });
  take(minute(20, { f1000: 1, f1001: 2 }));
  const restored = new Topology({ ...processing, rollups: ['1m'] }, [], 0);
  restored.restore(topology.snapshot());
  topology = restored;
  take(minute(20.1, { ...named('g', 0), f1001: 4 }));
  topology.finish();
  expect(topology.ledger.notWindowed).toEqual({ too_many_fields: 1 });
  const told = topology.outputs.rollups.map(({ series, fields }) => [series.tags.field, fields.sum]);
  expect(told).toHaveLength(130);
  expect(told.slice(0, 4)).toEqual([
    ['f1000', 1],
    ['f1001', 6],
    ['g0', 0],
    ['g1', 1],
  ]);
});

test('when there are too many devices the quietest tenth is finalised and forgotten', () => {
  const topology = topologyOf(times(maxDevices + 1, (n) => ({ device: `d${n}`, atMs: n, payload: { a: n } })));
  expect(topology.deviceCount).toBe(maxDevices - maxDevices / 10 + 1);
  expect(topology.outputs.rollups.filter(({ fields }) => fields.final === true)).toHaveLength((3 * maxDevices) / 10);
});

test('a device that was silent for a week is finalised and forgotten, and its open alert ends', () => {
  const rules = parseRules('- { name: hot, severity: info, field: t, when: { above: 30 } }', 'rules.yaml');
  const messages = [{ atMs: 0, payload: { ts: startMs, t: 31 } }, 7 * DAY_MS - 1000, 7 * DAY_MS];
  const topology = topologyOf(messages, rules);
  expect(topology.deviceCount).toBe(0);
  expect(topology.outputs.rollups.map(({ fields }) => [fields.revision, fields.final])).toEqual([
    [0, false],
    [0, false],
    [0, false],
    [1, true],
    [1, true],
    [1, true],
  ]);
  expect(topology.outputs.alerts.map(({ alert }) => [alert.seq, alert.status, alert.reason])).toEqual([
    [1, 'firing', 'threshold'],
    [2, 'resolved', 'device_forgotten'],
  ]);
});

test('a reading from the future is dead-lettered and moves no watermark', () => {
  const { ledger, outputs } = topologyOf([
    { atMs: 0, payload: { ts: startMs, a: 1 } },
    { atMs: 1000, payload: { ts: startMs + 3_600_000, a: 2 } },
    { atMs: 2000, payload: { ts: startMs + 2000, a: 3 } },
  ]);
  expect(ledger).toMatchObject({ windowed: 2, late: 0, rejected: { future: 1 } });
  expect(outputs.deadLetters).toMatchObject([{ reason: 'future', index: 0 }]);
  expect(outputs.rollups).toEqual([]);
});

test('lateness is judged by the end of the window: as long as its window can be corrected, no reading of it is late', () => {
  const at = (seconds: number) => ({ atMs: 900_000, payload: { ts: startMs + seconds * 1000, a: seconds } });
  // The watermark stands at 895 s, so windows that end by 295 s are closed for good.
  const { ledger } = topologyOf([at(900), at(240), at(294), at(300), at(239.999), at(240)]);
  expect(ledger).toMatchObject({ accepted: 5, windowed: 4, late: 1, duplicates: 1 });
});

test('a device that was offline for an hour and then sends its buffer is not late, whatever others did', () => {
  const { ledger } = topologyOf([
    { device: 'live', atMs: 0, payload: { ts: startMs, a: 1 } },
    { device: 'offline', atMs: 10, payload: { ts: startMs, a: 1 } },
    ...times(60, (n) => ({ device: 'live', atMs: n * 60_000, payload: { ts: startMs + n * 60_000, a: n + 2 } })),
    ...times(60, (n) => ({ device: 'offline', atMs: 3_600_000 + n, payload: { ts: startMs + 1 + n * 60_000, a: n } })),
  ]);
  expect(ledger).toMatchObject({ late: 0, windowed: 122 });
});
