/** Which rollups are written, and which of them an older write could undo. */
import { expect, test } from 'vitest';
import { isRevised, newestPoints, rollupSeries } from '../../processors/points.ts';
import type { Point, Series } from '../../store/port.ts';

const temperature = rollupSeries('1m', 'lab', 's1', 'temperature');
const humidity = rollupSeries('1m', 'lab', 's1', 'humidity');

function rollup(series: Series, minute: number, revision: number): Point {
  return { series, timeUs: minute * 60_000_000, k: 0, fields: { revision } };
}

test('of a rollup that is told several times in a batch only the newest is written, in the order of the newest', () => {
  const points = [
    rollup(temperature, 1, 0),
    rollup(humidity, 1, 0),
    rollup(temperature, 1, 1),
    rollup(temperature, 2, 0),
    rollup(humidity, 2, 4),
    rollup(temperature, 1, 2),
    rollup(humidity, 2, 5),
  ];
  expect(newestPoints(points)).toEqual([points[1], points[3], points[5], points[6]]);
});

test('no older write can undo the first value of a rollup', () => {
  expect(isRevised(rollup(temperature, 1, 0))).toBe(false);
  expect(isRevised(rollup(temperature, 1, 1))).toBe(true);
});
