/** `sluice explain` and `sluice state show` on Kafka and InfluxDB. What is embedded, and all else of them: `test/processors`. */
import { expect, onTestFinished, test } from 'vitest';
import { systemClock } from '../../core/clock.ts';
import { silentLogger } from '../../core/log.ts';
import { partitionOf } from '../../core/partition.ts';
import { headers } from '../../core/topics.ts';
import { explainWindow } from '../../processors/explain/explain.ts';
import { inspectPartition } from '../../processors/inspect.ts';
import { Processor } from '../../processors/runner.ts';
import { isAvailable, openBackend } from '../support/backends.ts';
import { eventually } from '../support/eventually.ts';

const minuteMs = 60_000;
const startMs = Math.floor(Date.now() / minuteMs) * minuteMs - 60 * minuteMs;

/** A minute that is closed, corrected and settled, and a reading that is too late for it. */
const sent = [10, 40, 66, 50, 720, 20].map((at, n) => {
  const comes = [10, 40, 66, 67, 720, 721][n]!;
  return {
    key: 'lab/s1',
    value: Buffer.from(JSON.stringify({ ts: startMs + at * 1000, temperature: 20.1 + n / 3, door: at > 30 })),
    headers: { [headers.mqttTopic]: 'iot/lab/s1/telemetry', [headers.ingestId]: `run-${n}` },
    timestampMs: startMs + comes * 1000,
  };
});

test.skipIf(!isAvailable('Kafka + InfluxDB'))('a number is explained, and the state behind it shown', async () => {
  const backend = await openBackend('Kafka + InfluxDB');
  onTestFinished(() => backend.close());
  const { topics, config } = backend;
  const [bus, store] = [await backend.bus(), await backend.store()];
  await bus.append(topics.raw, sent);
  const { group } = config.processing;
  const options = { ...config.processing, windows: config.windows, snapshotEveryRecords: 1 };
  const processor = new Processor({
    ...{ bus, store, topics, group, rules: [], options },
    ...{ instance: 'one', version: '0', clock: systemClock, log: silentLogger },
  });
  await processor.start();
  onTestFinished(() => processor.close(5000));
  const partition = partitionOf('lab/s1', config.topics.partitions);
  await eventually(async () => (await bus.committed(topics.raw, group))[partition]?.offset === sent.length, {
    withinMs: 60_000,
  });

  const context = { bus, store, topics, options, progress: () => {} };
  const of = { site: 'lab', device: 's1', timeUs: startMs * 1000 };
  expect(await explainWindow(context, { ...of, field: 'temperature', name: 'rollup_1m' })).toMatchObject({
    ...{ partition, fromOffset: 0, toOffset: 5, isCut: false, isSettled: true },
    readings: { count: 3, first: { offset: 0, ingestId: 'run-0' }, last: { offset: 3 } },
    late: { count: 1, first: [{ offset: 5 }] },
    points: [{ isEqual: true, stored: { count: 3, final: true } }],
  });
  const states = await explainWindow(context, { ...of, field: 'door', name: 'state_1m' });
  expect(states!.points).toHaveLength(2);
  expect(states!.points.every(({ isEqual }) => isEqual)).toBe(true);

  const report = await inspectPartition({ bus, topics, group, options, rules: [] }, partition, 'lab/s1');
  expect(report).toMatchObject({
    commit: { offset: sent.length },
    problem: null,
    state: { devices: 1, device: { newestUs: (startMs + 720_000) * 1000 } },
  });
});
