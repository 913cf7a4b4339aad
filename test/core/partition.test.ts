import { expect, test } from 'vitest';
import { murmur2, partitionOf } from '../../core/partition.ts';

const bytes = (text: string) => new TextEncoder().encode(text);

test('murmur2 equals the vectors of the Java client', () => {
  expect(murmur2(bytes('21'))).toBe(-973932308);
  expect(murmur2(bytes('foobar'))).toBe(-790332482);
  expect(murmur2(bytes('a-little-bit-long-string'))).toBe(-985981536);
  expect(murmur2(bytes('a-little-bit-longer-string'))).toBe(-1486304829);
  expect(murmur2(bytes('lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8'))).toBe(-58897971);
  expect(murmur2(bytes('abc'))).toBe(479470107);
});

test('every key gets a partition in range', () => {
  for (let i = 0; i < 1000; i++) {
    const partition = partitionOf(`lab/s${i}`, 12);
    expect(partition).toBeGreaterThanOrEqual(0);
    expect(partition).toBeLessThan(12);
  }
});
