/** Each promise broken on purpose, by wrapping a port or by hand in bus and store: `verify` names exactly that. */
import { expect, test } from 'vitest';
import type { NewRecord } from '../../bus/port.ts';
import type { ProcessorStatus } from '../../core/status.ts';
import { headers } from '../../core/topics.ts';
import type { Point } from '../../store/port.ts';
import type { Problem } from '../../verify/findings.ts';
import { readAll, topics } from '../processors/rig.ts';
import { withMethods } from '../support/with-methods.ts';
import { startMs, unrulyFleet } from './fleet.ts';
import { type Breaks, found, process, verified } from './rig.ts';

const minuteMs = 60_000;
/** The reading of s2 in second 605: `n` 121. */
const victim = { device: 's2', n: 121, timeUs: (startMs + 605_000) * 1000 };
const isVictim = ({ series, timeUs }: Point) =>
  series.measurement === 'telemetry' && series.tags.device === victim.device && timeUs === victim.timeUs;
const isRollup = ({ series, timeUs }: Point) =>
  series.measurement === 'rollup_1m' && series.tags.device === 's2' && timeUs === (startMs + 3 * minuteMs) * 1000;

function changed(points: readonly Point[], is: (point: Point) => boolean, change: (point: Point) => Point[]): Point[] {
  return points.flatMap((point) => (is(point) ? change(point) : [point]));
}

function withFields(is: (point: Point) => boolean, over: (fields: Point['fields']) => Point['fields']): Breaks {
  return {
    write: (points) => changed(points, is, (p) => [{ ...p, fields: { ...p.fields, ...over(p.fields) } }]),
  };
}

function appendOf(topic: string, change: (record: NewRecord) => readonly NewRecord[]): Breaks {
  return { append: (to, records) => (to === topic ? records.flatMap(change) : records) };
}

function alertWith(change: (body: Record<string, unknown>) => Record<string, unknown>) {
  return (record: NewRecord): NewRecord => ({
    ...record,
    value: Buffer.from(JSON.stringify(change(JSON.parse(Buffer.from(record.value!).toString())))),
  });
}

const isDeadAs = (reason: string) => (record: NewRecord) => record.headers[headers.dlqReason] === reason;

function withLedger(change: (ledger: ProcessorStatus['partitions'][string]['ledger']) => object): Breaks {
  return {
    status: (status) => {
      const partition = status.partitions['0']!;
      const ledger = { ...partition.ledger, ...change(partition.ledger) };
      return { ...status, partitions: { 0: { ...partition, ledger } } };
    },
  };
}

type Found = [broken: string, counts: Record<string, number>, problem: Partial<Problem>];
const cases: [what: string, breaks: Breaks, ...found: Found][] = [
  [
    'the store drops a reading',
    { write: (points) => points.filter((point) => !isVictim(point)) },
    'P2',
    { unaccounted: 1 },
    { device: 'lab/s2', n: 121, topic: 'iot/lab/s2/telemetry', intendedMs: startMs + 605_000, lastSeen: 'raw 0/400' },
  ],
  [
    'a reading is stored twice',
    { write: (points) => changed(points, isVictim, (point) => [point, { ...point, k: 7 }]) },
    'P2',
    { storedTwice: 1 },
    { device: 'lab/s2', n: 121, lastSeen: 'store' },
  ],
  [
    'a reading is stored altered',
    withFields(isVictim, () => ({ temperature: 1 })),
    'P2',
    { altered: 1 },
    { device: 'lab/s2', n: 121, lastSeen: 'store' },
  ],
  [
    'the store holds what nobody sent',
    { write: (points) => changed(points, isVictim, (point) => [point, { ...point, timeUs: point.timeUs + 1 }]) },
    'P2',
    { invented: 1 },
    { device: 'lab/s2' },
  ],
  [
    'a reading counts twice in a window',
    withFields(isRollup, ({ count, sum }) => ({ count: Number(count) + 1, sum: Number(sum) + 30 })),
    'P2',
    { countedTwice: 1 },
    { device: 'lab/s2', text: expect.stringContaining('counts 13 readings, expected 12') },
  ],
  [
    'an older rollup undoes a newer one',
    withFields(isRollup, () => ({ count: 11 })),
    'P3',
    { rollup: 1 },
    { text: 'temperature 2026-01-01T12:03:00.000Z: count 11 instead of 12' },
  ],
  [
    'a rollup has another last value',
    withFields(isRollup, () => ({ last: 3 })),
    'P3',
    { rollup: 1 },
    { text: expect.stringMatching(/: last 3 instead of 33\.5/) },
  ],
  [
    'a rollup is never written',
    { write: (points) => points.filter((point) => !isRollup(point)) },
    'P3',
    { rollup: 1 },
    { text: expect.stringContaining('missing, expected one of 12 readings') },
  ],
  [
    'a rollup of nothing',
    {
      write: (points) =>
        changed(
          points,
          ({ series }) => series.tags.device === 'plain' && series.measurement === 'rollup_1m',
          (point) => [point, { ...point, timeUs: point.timeUs + minuteMs * 1000 }],
        ),
    },
    'P3',
    // Every hundred seconds a reading: some minutes between them are empty, others have a rollup of their own.
    { rollup: 8 },
    { device: 'lab/plain', text: expect.stringContaining('a rollup of no reading') },
  ],
  [
    'alert ids come from the clock',
    appendOf(topics.alerts, (record) => [alertWith((body) => ({ ...body, id: `${body.id}0` }))(record)]),
    'P3',
    { alertId: 9 },
    { text: expect.stringMatching(/has the id [0-9a-f]+0, its facts give [0-9a-f]{32}$/) },
  ],
  [
    'the same transition under two ids',
    appendOf(topics.alerts, (record) => [record, alertWith((body) => ({ ...body, id: 'another' }))(record)]),
    'P3',
    { alertId: 9 },
    { text: expect.stringContaining('has 2 ids') },
  ],
  [
    'an alert is not raised',
    appendOf(topics.alerts, (record) =>
      record.headers.ce_type?.includes('firing') && record.headers.ce_subject === 'lab/s1' ? [] : [record],
    ),
    'P3',
    { alert: 1 },
    { device: 'lab/s1', text: expect.stringContaining('hot: no alert "firing (2) since 2026-01-01T12:05:00.000Z"') },
  ],
  [
    'an alert that is not due',
    appendOf(topics.alerts, (record) => [
      record,
      ...(record.headers.ce_subject === 'lab/s3' ? [alertWith((body) => ({ ...body, seq: 9 }))(record)] : []),
    ]),
    'P3',
    { alert: 2 },
    { device: 'lab/s3', text: expect.stringContaining('is not due') },
  ],
  [
    'a dead letter has the wrong reason',
    appendOf(topics.dlq, (record) => [
      isDeadAs('not_json')(record)
        ? { ...record, headers: { ...record.headers, [headers.dlqReason]: 'not_utf8' } }
        : record,
    ]),
    'P2',
    { deadLetter: 1 },
    { device: 'lab/s1', text: 'dead-lettered as not_utf8, expected not_json', lastSeen: 'dlq' },
  ],
  [
    'a dead letter is missing',
    appendOf(topics.dlq, (record) => (isDeadAs('future')(record) ? [] : [record])),
    'P2',
    { deadLetter: 1 },
    { device: 'lab/s1', text: expect.stringContaining('no dead letter, expected'), lastSeen: 'raw 0/792' },
  ],
  [
    'a good reading is dead-lettered too',
    {
      write: (points) => points.filter((point) => !isVictim(point)),
      afterwards: async ({ bus }) => {
        const source = (await readAll(bus, topics.raw))[400]!;
        const names = { ...source.headers, [headers.dlqReason]: 'refused_type_conflict' };
        const place = { [headers.sourcePartition]: '0', [headers.sourceOffset]: '400' };
        await bus.append(topics.dlq, [{ ...source, headers: { ...names, ...place } }]);
      },
    },
    'P2',
    { deadLetter: 1 },
    { n: 121, text: 'dead-lettered as refused_type_conflict, expected in the store', lastSeen: 'dlq' },
  ],
  [
    'a late reading is not in the late topic',
    appendOf(topics.late, () => []),
    'P2',
    { late: 1 },
    { device: 'lab/s1', text: 'came too late, and is not in the late topic' },
  ],
  [
    'the ledger does not balance',
    withLedger(({ stored }) => ({ stored: stored - 1 })),
    'P2',
    { ledger: 1 },
    { text: 'partition 0: accepted = stored + refused: 745 against 744' },
  ],
];

test.each(cases)('%s', async (_, breaks, broken, counts, problem) => {
  const fleet = unrulyFleet();
  const report = await verified(await process(fleet, breaks), fleet);
  expect(found(report)).toMatchObject({ broken: [broken], counts });
  expect(found(report).counts).toEqual(counts);
  expect(report.problems[0]).toMatchObject(problem);
  expect(report.ok).toBe(false);
  expect(report.verdict).toMatch(new RegExp(`^${broken} is broken \\(`));
});

test('acknowledged before it was appended: the message and its rollup are gone, and only P1 is broken', async () => {
  const fleet = unrulyFleet();
  fleet.reading('s2', 1_200_001, 9, { records: 0 });
  const report = await verified(await process(fleet), fleet);
  expect(found(report)).toMatchObject({ broken: ['P1'], counts: { lost: 1 } });
  expect(report.problems[0]).toMatchObject({ kind: 'lost', device: 'lab/s2', lastSeen: 'gateway' });
  expect(report.verdict).toBe('P1 is broken (1 acknowledged message is not in the log).');
});

test('no duplicate check: stored twice and counted twice', async () => {
  const fleet = unrulyFleet();
  const again = (point: Point) => (isVictim(point) ? [point, { ...point, k: 3 }] : [point]);
  const report = await verified(
    await process(fleet, {
      write: (points) =>
        points.flatMap(again).map((point) => {
          const isWindow =
            point.series.measurement === 'rollup_1m' && point.timeUs === (startMs + 10 * minuteMs) * 1000;
          if (!isWindow || point.series.tags.device !== 's2') return point;
          return { ...point, fields: { ...point.fields, count: Number(point.fields.count) + 1 } };
        }),
    }),
    fleet,
  );
  expect(found(report)).toMatchObject({ broken: ['P2'], counts: { storedTwice: 1, countedTwice: 1 } });
  expect(report.duplicated).toEqual({ storedTwice: 1, countedTwice: 1 });
});

test('what the broker had to refuse is there', async () => {
  const fleet = unrulyFleet();
  fleet.reading('s2', 1_200_001, 28, { expect: { as: 'refused_by_broker' }, acknowledged: false, records: 1 });
  const report = await verified(await process(fleet), fleet);
  expect(found(report)).toMatchObject({ broken: ['P2'], counts: { taken: 1 } });
  expect(report.problems[0]).toMatchObject({ text: 'is there, though it had to be refused by the broker' });
});

test('a reading of the future is stored, though nothing foretold that it would be rejected', async () => {
  const fleet = unrulyFleet();
  fleet.reading('s2', 1_200_001, 28, { behindMs: -90_000 });
  const report = await verified(await process(fleet, { options: { maxFutureMs: 600_000 } }), fleet);
  expect(found(report)).toMatchObject({ broken: ['P2'], counts: { deadLetter: 1 } });
  expect(report.problems[0]).toMatchObject({ text: 'stored, expected the dead letter future', device: 'lab/s2' });
});

test('a message that came twice is dead-lettered once', async () => {
  const fleet = unrulyFleet();
  const torn = { device: 's2', atMs: 1_200_001, payload: '{"ts":', reading: null, records: 2, copies: 2 };
  fleet.send({ ...torn, expect: { as: 'dead_letter', reason: 'not_json' } });
  expect(await verified(await process(fleet), fleet)).toMatchObject({ ok: true });
  let letters = 0;
  const breaks = appendOf(topics.dlq, (record) =>
    record.headers[headers.mqttTopic] === 'iot/lab/s2/telemetry' && letters++ > 0 ? [] : [record],
  );
  const report = await verified(await process(fleet, breaks), fleet);
  expect(found(report)).toMatchObject({ broken: ['P2'], counts: { deadLetter: 1 } });
  expect(report.problems[0]).toMatchObject({ text: expect.stringContaining('it came again, and then no dead letter') });
});

test('processors that are behind prove nothing', async () => {
  const fleet = unrulyFleet();
  const rig = await process(fleet);
  const behind = { ...rig, bus: withMethods(rig.bus, { lag: async () => ({ records: 5, seconds: 1 }) }) };
  const last = fleet.records.at(-1)!;
  const more = Array.from({ length: 5 }, () => ({ ...last, headers: { [headers.tick]: '1' }, value: null }));
  await rig.append(more);
  const report = await verified(behind, fleet);
  expect(report).toMatchObject({ ok: false, broken: [], problemCounts: { incomplete: 1 } });
  expect(report.verdict).toBe(
    'Nothing is proved: 5 records are not processed yet: start a processor, or give it longer with --wait.',
  );
});
