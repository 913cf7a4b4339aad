/**
 * P3 over the adapters: the same records through the embedded bus and store and through Kafka and InfluxDB leave the same
 * points of rollups, windows and states, to the last bit, and they are those that the oracle says.
 */
import { expect, onTestFinished, test } from 'vitest';
import { systemClock } from '../../core/clock.ts';
import { silentLogger } from '../../core/log.ts';
import { Processor } from '../../processors/runner.ts';
import { settingsOf } from '../processors/oracle-subject.ts';
import { type Backend, isAvailable, openBackend } from '../support/backends.ts';
import { eventually } from '../support/eventually.ts';
import { levels } from '../support/oracle/config.ts';
import { endingAt, expectedOf, newestMs, newRecordsOf } from '../support/oracle/partitions.ts';
import { storedDifferences, storedPoints } from '../support/oracle/stored.ts';
import { type Case, drawCase } from '../support/oracle/stream.ts';

/** Within what a bus and a store keep by themselves. */
const longestMs = 2 * 86_400_000;
/** The first with a session and another window. */
const seed = Array.from({ length: 200 }, (_, n) => n + 1).find((n) => {
  const drawn = drawCase(n);
  const types = new Set(drawn.config.windows.map(({ type }) => type));
  return types.has('session') && types.size > 1 && spanMs(drawn) < longestMs;
})!;

test.skipIf(!isAvailable('Kafka + InfluxDB'))(`the records of seed ${seed} leave the same points on both`, async () => {
  const drawn = drawCase(seed);
  const config = { ...drawn.config, rollups: levels, states: true };
  const events = endingAt(drawn.events, Date.now());
  const [embedded, real] = [await openOne('embedded'), await openOne('Kafka + InfluxDB')];
  const onEmbedded = await pointsOn(embedded, { seed, config, events });
  expect(onEmbedded.size).toBeGreaterThan(100);
  const expected = expectedOf(events, config, embedded.config.topics.partitions);
  expect(storedDifferences(expected.points, onEmbedded)).toEqual([]);
  const onReal = await pointsOn(real, { seed, config, events });
  expect([...onReal].sort(byPlace)).toEqual([...onEmbedded].sort(byPlace));
});

function spanMs({ events }: Case): number {
  return newestMs(events) - events[0]!.atMs;
}

function byPlace([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number {
  return a < b ? -1 : 1;
}

async function openOne(name: Backend['name']): Promise<Backend> {
  const backend = await openBackend(name);
  onTestFinished(() => backend.close());
  return backend;
}

async function pointsOn(backend: Backend, { config, events }: Case) {
  const { topics } = backend;
  const [bus, store] = [await backend.bus(), await backend.store()];
  const records = events.flatMap((event) => newRecordsOf(event, backend.config.topics.partitions));
  await bus.append(topics.raw, records);
  const { options, rules } = settingsOf(config);
  const processor = new Processor({
    bus,
    store,
    topics,
    group: 'same-rollups',
    rules,
    options: { ...backend.config.processing, ...options },
    instance: 'one',
    version: 'test',
    clock: systemClock,
    log: silentLogger,
  });
  await processor.start();
  const processed = () => Object.values(processor.status().partitions).reduce((sum, { position }) => sum + position, 0);
  await eventually(() => processed() === records.length, { withinMs: 30_000, what: 'every record processed' });
  await processor.close(5000);
  return storedPoints(backend.config);
}
