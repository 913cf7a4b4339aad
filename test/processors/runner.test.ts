/** The processor on a real embedded bus, in front of a store that is down, slow, or refuses. */
import { expect, onTestFinished, test } from 'vitest';
import { StoreUnavailableError } from '../../core/errors.ts';
import { imbalances } from '../../core/ledger.ts';
import { parseRules } from '../../processors/rules/file.ts';
import type { Point } from '../../store/port.ts';
import { eventually } from '../support/eventually.ts';
import { withMethods } from '../support/with-methods.ts';
import { rawRecord, startMs } from './records.ts';
import { drained, openRig, type Rig, readAll, topics } from './rig.ts';

const options = { maxBatchRecords: 50, sessionTimeoutMs: 3000 };

async function rigWith(rules = ''): Promise<Rig> {
  const rig = await openRig(parseRules(rules, 'rules.yaml'));
  onTestFinished(() => rig.close());
  return rig;
}

function minuteOf(device: string, fromMs: number, offset: number) {
  return Array.from({ length: 30 }, (_, i) => {
    const atMs = fromMs + i * 3000;
    return rawRecord({ device, payload: { ts: startMs + atMs, temperature: 20 + i }, atMs }, offset + i);
  });
}

test('while the store is down the processor waits and says so, and afterwards nothing is missing or doubled', async () => {
  const rig = await rigWith();
  let down = true;
  const store = withMethods(rig.store, {
    write: (points) => (down ? Promise.reject(new StoreUnavailableError('nobody there')) : rig.store.write(points)),
  });
  const processor = rig.processor(options, { store });
  expect(processor.ready()).toEqual(['processor: not started']);
  await processor.start();
  await rig.append(minuteOf('s1', 0, 0));
  await eventually(() => processor.ready().length > 0);
  expect(processor.ready()).toEqual(['store: nobody there']);
  expect(processor.status().partitions['0']?.ledger ?? { stored: 0 }).toMatchObject({ stored: 0 });
  down = false;
  const ledger = await drained(processor, 30);
  expect(processor.ready()).toEqual([]);
  expect(ledger).toMatchObject({ accepted: 30, stored: 30 });
  expect(await rig.store.readings('lab', 's1', startMs, startMs + 200_000)).toHaveLength(30);
});

test('closing during an outage of the store ends at once, commits nothing, and the next processor does the work', async () => {
  const rig = await rigWith();
  const store = withMethods(rig.store, { write: () => Promise.reject(new StoreUnavailableError('nobody there')) });
  const processor = rig.processor(options, { store });
  await processor.start();
  await rig.append(minuteOf('s1', 0, 0));
  await eventually(() => processor.ready().length > 0);
  await processor.close(5000);
  expect(processor.ready()).toEqual([]);
  expect((await rig.bus.lag(topics.raw, 'test')).records).toBe(30);
  const next = rig.processor(options);
  await next.start();
  expect(await drained(next, 30)).toMatchObject({ stored: 30 });
});

test('a reading that the store refuses is counted by its reason and dead-lettered with its bytes; the ledger balances', async () => {
  const rig = await rigWith();
  const store = withMethods(rig.store, {
    write: async (points) => {
      await rig.store.write(points.filter(({ fields }) => fields.temperature !== 25));
      return points.flatMap(({ fields }, index) =>
        fields.temperature === 25 ? [{ index, reason: 'type_conflict' as const, message: 'temperature is text' }] : [],
      );
    },
  });
  const processor = rig.processor(options, { store });
  await processor.start();
  await rig.append(minuteOf('s1', 0, 0));
  const ledger = await drained(processor, 30);
  expect(ledger).toMatchObject({ accepted: 30, stored: 29, refused: { type_conflict: 1 } });
  expect(imbalances(ledger)).toEqual([]);
  const [letter] = await readAll(rig.bus, topics.dlq);
  expect(letter).toMatchObject({ key: 'lab/s1', timestampMs: startMs + 15_000 });
  expect(JSON.parse(letter!.value!.toString())).toMatchObject({ temperature: 25 });
  expect(letter!.headers).toMatchObject({
    'mqtt.topic': 'iot/lab/s1/telemetry',
    'dlq.reason': 'refused_type_conflict',
    'dlq.error': 'temperature is text',
    'source.topic': topics.raw,
    'source.partition': '0',
    'source.offset': '5',
    'source.index': '0',
  });
});

test('what was written shortly after a take-over is written once more with its newest value, when no older write can come', async () => {
  const rig = await rigWith();
  const written: Point[] = [];
  const store = withMethods(rig.store, {
    write: (points) => {
      written.push(...points.filter(({ series }) => series.bucket === 'rollup'));
      return rig.store.write(points);
    },
  });
  const processor = rig.processor({ ...options, sessionTimeoutMs: 1500 }, { store });
  await processor.start();
  await rig.append(minuteOf('s1', 0, 0));
  await drained(processor, 30);
  // A correction of the closed window: the newest value is revision 1.
  await rig.append([rawRecord({ payload: { ts: startMs + 500, temperature: 99 }, atMs: 91_000 }, 30)]);
  await drained(processor, 31);
  expect(written.map(({ fields }) => fields.revision)).toEqual([0, 1]);
  let offset = 31;
  await eventually(
    async () => {
      await rig.append([rawRecord(100_000 + offset * 10, offset++)]);
      return written.length > 2;
    },
    { everyMs: 100, what: 'the settle write' },
  );
  expect(written.slice(2)).toEqual([written[1]]);
  expect(written[1]!.fields).toMatchObject({ max: 99, final: true });
});

test('a processor that was not heard of for half its session writes nothing any more', async () => {
  const rig = await rigWith();
  let writes = 0;
  const store = withMethods(rig.store, {
    write: (points) => {
      writes++;
      return rig.store.write(points);
    },
  });
  const refusals: unknown[] = [];
  const bus = withMethods(rig.bus, {
    consume: (topic, group, handler, consuming) =>
      rig.bus.consume(
        topic,
        group,
        (batch) =>
          handler(withMethods(batch, { lastHeartbeatAtMs: () => Date.now() - 1600 })).catch((error: unknown) => {
            refusals.push(error);
            throw error;
          }),
        consuming,
      ),
  });
  const processor = rig.processor(options, { bus, store });
  await processor.start();
  await rig.append(minuteOf('s1', 0, 0));
  await eventually(() => refusals.length > 0);
  expect(refusals[0]).toMatchObject({ code: 'BUS_ASSIGNMENT_LOST' });
  expect(writes).toBe(0);
  await processor.close(5000);
  expect((await rig.bus.lag(topics.raw, 'test')).records).toBe(30);
});

test('alerts leave as CloudEvents keyed by fingerprint, and their state is cleared when they are over', async () => {
  const rig = await rigWith('- { name: hot, severity: critical, field: temperature, when: { above: 40, clear: 30 } }');
  const processor = rig.processor(options);
  await processor.start();
  const values = [39, 41, 35, 30];
  await rig.append(
    values.map((temperature, i) => rawRecord({ payload: { ts: startMs + i * 1000, temperature }, atMs: i * 1000 }, i)),
  );
  await drained(processor, 4);
  const events = await readAll(rig.bus, topics.alerts);
  expect(events.map(({ headers }) => headers.ce_type)).toEqual([
    'io.sluice.alert.firing.v1',
    'io.sluice.alert.resolved.v1',
  ]);
  const [firing, resolved] = events.map(({ value }) => JSON.parse(value!.toString()));
  expect(firing).toMatchObject({ seq: 1, value: 41, firedAt: new Date(startMs + 1000).toISOString(), endsAt: null });
  expect(resolved).toMatchObject({ seq: 2, value: 30, reason: 'cleared', episodeId: firing.episodeId });
  expect(events[0]).toMatchObject({ key: firing.fingerprint, timestampMs: startMs + 1000 });
  expect(events[0]!.headers).toMatchObject({ ce_id: firing.id, ce_subject: 'lab/s1', ce_specversion: '1.0' });
  const states = await readAll(rig.bus, topics.alertsState);
  expect(states.at(-1)).toMatchObject({ key: firing.fingerprint, value: null });
});

test('closing does not wait for ever for a store that never answers', async () => {
  const rig = await rigWith();
  const answer = Promise.withResolvers<[]>();
  let asked = false;
  const store = withMethods(rig.store, {
    write: () => {
      asked = true;
      return answer.promise;
    },
  });
  const processor = rig.processor(options, { store });
  await processor.start();
  await rig.append(minuteOf('s1', 0, 0));
  await eventually(() => asked);
  await expect(processor.close(100)).rejects.toMatchObject({ code: 'CLOSE_TIMEOUT' });
  answer.resolve([]);
  await processor.close(5000);
});
