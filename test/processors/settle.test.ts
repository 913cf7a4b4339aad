import { expect, test } from 'vitest';
import { isRevised, pointKey } from '../../processors/points.ts';
import { SettleList } from '../../processors/settle.ts';
import type { Point } from '../../store/port.ts';

const sessionTimeoutMs = 1000;

/** Of one window; a new series object each time, as of a device that is known anew. */
function rollup(revision: number, mean: number): Point {
  const series = { bucket: 'rollup', measurement: 'rollup_1m', tags: { device: 'd', field: 'f' } } as const;
  return { series, fields: { mean, revision }, timeUs: 60_000_000, k: 0 };
}

function listFrom(entries: readonly Point[] = []): SettleList<Point> {
  return new SettleList({ keyOf: pointKey, canBeUndone: isRevised }, 0, sessionTimeoutMs, entries);
}

test('what an older write could undo is due again two session timeouts later, with its newest value', () => {
  const list = listFrom();
  const newest = rollup(2, 7);
  list.writing([rollup(0, 5)], 0);
  list.writing([rollup(1, 6)], 100);
  list.writing([newest], 2500);
  expect(list.due(2099)).toEqual([]);
  expect(list.due(2100)).toEqual([newest]);
  list.settled([newest]);
  expect(list.entries()).toEqual([]);
});

test('a first value can be undone by nobody, but takes the place of one of a device that was forgotten', () => {
  const list = listFrom([rollup(1, 6)]);
  const again = rollup(0, 9);
  list.writing([again], 3000);
  expect(list.due(3000)).toEqual([again]);
  list.settled([again]);
  list.writing([rollup(0, 10)], 3000);
  expect(list.entries()).toEqual([]);
});

test('an unknown outcome makes unsettled what comes after it, too', () => {
  const list = listFrom();
  list.writing([rollup(1, 6)], 5000);
  expect(list.entries()).toEqual([]);
  list.unknownOutcome([rollup(1, 6)], 5000);
  list.writing([rollup(2, 7)], 6000);
  expect(list.due(7999)).toEqual([]);
  expect(list.due(8000)).toEqual([rollup(2, 7)]);
});
