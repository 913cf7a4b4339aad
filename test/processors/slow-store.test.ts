/** A store that takes its time, asks to be left alone, or takes nothing at all: the processor keeps its pace and its memory. */
import { expect, onTestFinished, test } from 'vitest';
import { StoreUnavailableError } from '../../core/errors.ts';
import type { Point } from '../../store/port.ts';
import { eventually } from '../support/eventually.ts';
import { withMethods } from '../support/with-methods.ts';
import { rawRecord, startMs } from './records.ts';
import { drained, openRig, type Rig } from './rig.ts';

const maxBatchRecords = 1000;

function readings(from: number, count: number) {
  return Array.from({ length: count }, (_, i) =>
    rawRecord({ payload: { ts: startMs + from + i, a: i }, atMs: from + i }, from + i),
  );
}

const rawPointsOf = (points: readonly Point[]) => points.filter(({ series }) => series.bucket === 'raw').length;

async function rigOf(): Promise<Rig> {
  const rig = await openRig([]);
  onTestFinished(() => rig.close());
  return rig;
}

test('a slow store gets fewer and larger writes, one at a time, and no more of the backlog is in memory', async () => {
  const rig = await rigOf();
  const writes: number[] = [];
  const gate = Promise.withResolvers<void>();
  let underWay = 0;
  const store = withMethods(rig.store, {
    write: async (points) => {
      writes.push(rawPointsOf(points));
      expect(++underWay).toBe(1);
      await gate.promise;
      const refusals = await rig.store.write(points);
      underWay--;
      return refusals;
    },
  });
  const processor = rig.processor({ maxBatchRecords }, { store });
  await processor.start();
  await rig.append(readings(0, 10));
  await eventually(() => writes.length === 1, { what: 'the first write' });
  // Many small appends while one write is under way.
  for (let n = 10; n < 2600; n += 10) await rig.append(readings(n, 10));
  expect(writes).toHaveLength(1);
  gate.resolve();
  await drained(processor, 2600);
  expect(writes.reduce((sum, count) => sum + count)).toBe(2600);
  expect(Math.max(...writes)).toBe(maxBatchRecords);
  expect(writes.length).toBeLessThanOrEqual(5);
});

test('a store that asks for a pause is left alone for as long', async () => {
  const rig = await rigOf();
  const askedMs = 700;
  const attempts: number[] = [];
  const store = withMethods(rig.store, {
    write: async (points) => {
      attempts.push(performance.now());
      if (attempts.length > 1) return rig.store.write(points);
      throw new StoreUnavailableError('slow down', { retryAfterMs: askedMs });
    },
  });
  const processor = rig.processor({}, { store });
  await processor.start();
  await rig.append(readings(0, 10));
  await eventually(() => processor.ready().length > 0, { what: 'it says what it waits for' });
  expect(processor.ready()).toEqual(['store: slow down']);
  await drained(processor, 10);
  expect(attempts[1]! - attempts[0]!).toBeGreaterThanOrEqual(askedMs - 1);
  expect(attempts).toHaveLength(2);
  expect(processor.ready()).toEqual([]);
});
