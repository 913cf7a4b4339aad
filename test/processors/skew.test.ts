/** Clocks that are off: what is told of them, and that nothing else is. */
import { expect, test } from 'vitest';
import { resolveConfig } from '../../core/config.ts';
import { type Logger, silentLogger } from '../../core/log.ts';
import { SkewLog } from '../../processors/skew-log.ts';
import { Topology } from '../../processors/topology.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { type Message, rawRecord, startMs } from './records.ts';

const { processing } = resolveConfig({ env: {}, flags: {}, readText: () => '' });
const minute = 60_000;

/** Takes messages one after the other; `restart` puts a snapshot between two of them. */
function pipeline() {
  let topology = new Topology(processing, [], 0);
  let offset = 0;
  const found: string[] = [];
  return {
    found,
    take(message: Message | number): void {
      topology.process(rawRecord(message, offset++));
      found.push(...topology.outputs.skewed.map(({ device, skewMs }) => `${device} ${Math.round(skewMs)}`));
      topology.outputs.clear();
    },
    restart(): void {
      const snapshot = topology.snapshot();
      topology = new Topology(processing, [], 0);
      topology.restore(snapshot);
    },
    skewOf: (device: string) => topology.clocks.list().find((each) => each.device === device)?.skewMs ?? 0,
    get count() {
      return topology.clocks.list().length;
    },
  };
}

/** Readings each 10 s; `offsetAt`: of the time that the device gives from that of its receipt. */
function send(to: ReturnType<typeof pipeline>, fromMs: number, toMs: number, offsetAt: (atMs: number) => number): void {
  for (let atMs = fromMs; atMs < toMs; atMs += 10_000) {
    to.take({ payload: { ts: startMs + atMs + offsetAt(atMs), a: atMs }, atMs });
  }
}

/** The way takes 0.2 to 3 s. */
const delay = (atMs: number) => 200 + ((atMs / 10_000) % 5) * 700;

test('a clock that is ahead is told with its first reading, by the largest offset of its recent readings', () => {
  const rig = pipeline();
  send(rig, 0, 10 * minute, (atMs) => -delay(atMs));
  expect(rig.skewOf('s1')).toBe(0);
  send(rig, 10 * minute, 10 * minute + 10_000, () => 20_000);
  expect(rig.found).toEqual(['s1 20000']);
  send(rig, 11 * minute, 30 * minute, (atMs) => 30_000 - delay(atMs));
  expect(rig.skewOf('s1')).toBe(29_800);
  expect(rig.found).toHaveLength(1);
  // Set right: what was seen of it before counts for a while.
  send(rig, 30 * minute, 31 * minute, (atMs) => -delay(atMs));
  expect(rig.skewOf('s1')).toBe(29_800);
  send(rig, 31 * minute, 42 * minute, (atMs) => -delay(atMs));
  expect(rig.skewOf('s1')).toBe(0);
  expect(rig.count).toBe(0);
});

test('a clock that is behind is told when all readings of ten minutes come as much too late', () => {
  const rig = pipeline();
  const behind = (atMs: number) => -90_000 - delay(atMs);
  send(rig, 0, 10 * minute, behind);
  expect(rig.skewOf('s1')).toBe(0);
  send(rig, 10 * minute, 11 * minute, behind);
  expect(rig.skewOf('s1')).toBe(-90_200);
  expect(rig.found).toEqual(['s1 -90200']);
  send(rig, 11 * minute, 21 * minute, (atMs) => -delay(atMs));
  expect(rig.skewOf('s1')).toBe(0);
});

test('who sends for half an hour what it kept during an outage has a clock that is right', () => {
  const rig = pipeline();
  send(rig, 0, 30 * minute, (atMs) => -60 * minute + 2 * atMs);
  expect(rig.found).toEqual([]);
  send(rig, 30 * minute, 60 * minute, (atMs) => -delay(atMs));
  expect(rig.found).toEqual([]);
});

test('a clock so far ahead that no reading counts is told all the same, also after a restart, until it is silent for long', () => {
  const rig = pipeline();
  send(rig, 0, 10_000, () => 60 * minute);
  expect(rig.found).toEqual(['s1 3600000']);
  rig.restart();
  expect(rig.skewOf('s1')).toBe(3_600_000);
  send(rig, minute, 2 * minute, () => 61 * minute);
  expect(rig.skewOf('s1')).toBe(3_660_000);
  expect(rig.found).toHaveLength(1);
  // One of its readings counts: now it is a device, with the clock that it had.
  send(rig, 2 * minute, 2 * minute + 10_000, () => 0);
  expect(rig.skewOf('s1')).toBe(3_660_000);
  rig.restart();
  expect(rig.skewOf('s1')).toBe(3_660_000);
  rig.take(2 * minute + processing.forgetAfterMs + 1000);
  expect(rig.count).toBe(0);
});

test('of strangers with wrong clocks only so many are remembered, and for so long', () => {
  const rig = pipeline();
  const strange = (n: number, atMs: number) =>
    rig.take({ device: `x${n}`, payload: { ts: startMs + atMs + 2 * minute, a: 1 }, atMs });
  for (let n = 0; n < 1000; n++) strange(n, n);
  strange(0, 1000);
  strange(1000, 1001);
  expect(rig.count).toBe(1000);
  expect([rig.skewOf('x0'), rig.skewOf('x1')]).toEqual([2 * minute, 0]);
  rig.take(1000 + processing.forgetAfterMs + 1000);
  expect(rig.count).toBe(0);
});

test('readings without a time of their own say nothing of a clock', () => {
  const rig = pipeline();
  for (let n = 0; n < 100; n++) rig.take({ payload: { seq: n, a: n }, atMs: n * 10_000 });
  expect(rig.count).toBe(0);
});

test('the log names ten devices a minute, and how many it left out', () => {
  const lines: object[] = [];
  const log: Logger = { ...silentLogger, warn: (fields) => lines.push(fields) };
  const clock = new ManualClock();
  const skewLog = new SkewLog(log, clock);
  const devices = Array.from({ length: 25 }, (_, i) => ({ site: 'lab', device: `s${i}`, skewMs: 7000.4 }));
  skewLog.found(devices);
  expect(lines).toHaveLength(10);
  clock.advance(60_000);
  skewLog.found([{ site: 'lab', device: 'last', skewMs: -9000 }]);
  expect(lines.slice(9)).toEqual([
    { site: 'lab', device: 's9', skewMs: 7000, leftOut: 0 },
    { site: 'lab', device: 'last', skewMs: -9000, leftOut: 15 },
  ]);
});
