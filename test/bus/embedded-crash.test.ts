import { join } from 'node:path';
import { expect, test } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { openBus, startProcess, temporaryFolder, topic } from './embedded-fixture.ts';

const ROUNDS = 8;

test('kill -9 in the middle of appends loses nothing that was acknowledged, and leaves no gap', {
  timeout: 60_000,
}, async () => {
  const file = join(await temporaryFolder(), 'bus.db');
  const bus = await openBus(file);
  await bus.createTopics([topic('topic')]);
  const random = seeded(20_260);
  const acknowledged: string[] = [];

  for (let round = 0; round < ROUNDS; round++) {
    const appender = startProcess('append', file, `${round * 1_000_000}`);
    await eventually(() => appender.lines.length > 0, { what: 'the first acknowledgement' });
    await new Promise((resolve) => setTimeout(resolve, random() * 150));
    appender.kill('SIGKILL');
    await appender.exited();
    acknowledged.push(...appender.lines);
  }

  const { records, endOffset } = await bus.read('topic', 0, 0, 10_000_000);
  expect(records.map((each) => each.offset)).toEqual(Array.from({ length: endOffset }, (_, i) => i));
  const kept = new Set(records.map((each) => each.value?.toString()));
  expect(kept.size).toBe(records.length);
  expect(acknowledged.length).toBeGreaterThan(ROUNDS * 10);
  expect(acknowledged.filter((number) => !kept.has(number))).toEqual([]);
  // What was not acknowledged is at most what was in flight when the process died.
  expect(records.length - acknowledged.length).toBeLessThanOrEqual(ROUNDS * 40);
});

/** mulberry32: the same moments in every run. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}
