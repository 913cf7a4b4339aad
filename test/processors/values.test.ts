import { expect, test } from 'vitest';
import { StateReader, StateWriter } from '../../processors/codec.ts';
import { readValues, writeValues } from '../../processors/window/values.ts';
import { seeded } from './records.ts';

function written(values: readonly number[]): Buffer {
  const to = new StateWriter();
  writeValues(to, values);
  return to.finish();
}

const random = seeded(3);
const list = (make: (n: number) => number) => Array.from({ length: 300 }, (_, n) => make(n));

test.each([
  ['none', []],
  ['whole', list((n) => n - 150)],
  ['a counter', list((n) => 123_456_789_012 + n * 7)],
  ['tenths', list(() => Math.round(random() * 1000) / 10)],
  ['of six decimals', list(() => Math.round(random() * 1e8) / 1e6)],
  ['of all kinds', [1, 0.1, 0.001, 1e6, -0.25]],
  ['doubles', list(() => random())],
  ['large', [2 ** 53, 1e300, -1e300, 5e-324, 2 ** 45, 2 ** 45 + 1]],
  ['large with decimals', [2 ** 45, 0.5]],
  ['minus zero', [1, -0, 0]],
  ['single precision', list(() => Math.fround(random() * 100))],
])('values come back bit for bit: %s', (_, values) => {
  const read = readValues(new StateReader(written(values)));
  expect(read.length).toBe(values.length);
  for (const [n, value] of values.entries()) expect(Object.is(read[n], value), `${value}`).toBe(true);
});

test('values of a few decimals take a quarter of what doubles take', () => {
  expect(written(list(() => Math.round(2000 + random() * 500) / 100)).length).toBeLessThan(300 * 2.1);
  expect(written(list(() => random())).length).toBeLessThanOrEqual(300 * 8 + 3);
});
