/** Every fault through simulator, gateway and processor ends as its truth says; where the pipeline misbehaves, `verify` names it. */
import { createHash } from 'node:crypto';
import { beforeAll, expect, test } from 'vitest';
import type { BusRecord, NewRecord } from '../../bus/port.ts';
import { headers } from '../../core/topics.ts';
import type { TruthMessage } from '../../core/truth.ts';
import type { GatewayOptions } from '../../gateway/options.ts';
import { parseRules } from '../../processors/rules/file.ts';
import { type FaultName, type FaultSpec, faultNames, faultSpec } from '../../simulator/faults/spec.ts';
import type { Fleet } from '../../simulator/fleet.ts';
import type { Point } from '../../store/port.ts';
import { topics } from '../processors/rig.ts';
import { testFleet } from '../simulator/test-fleet.ts';
import { type FaultyRun, faultyRun } from './faulty-run.ts';
import { type Breaks, found, process, type Sent, verified } from './rig.ts';

const lastsMs = 150_000;
/** Beside its name, so that it hits often in the time that the run takes. */
const settings: Readonly<Record<FaultName, object>> = {
  'sensor.drift': { field: 'temperature', perMinute: 60, at: '30s', for: '1m' },
  'sensor.spike': { field: 'temperature', probability: '30%' },
  'sensor.stuck': { at: '30s', for: '1m' },
  'sensor.noise': { probability: '30%' },
  'sensor.clipping': { field: 'temperature', min: 19, max: 21, probability: '30%' },
  'sensor.null': { probability: '30%' },
  'sensor.unit_flip': { field: 'temperature', probability: '30%' },
  'sensor.type_flip': { probability: '30%' },
  'clock.skew': { perHour: '20m' },
  // Ahead it is rejected, further behind than lateness it is late.
  'clock.jump': { by: '5m', at: '30s', for: '20s', every: '1m' },
  'clock.epoch': { probability: '30%' },
  'clock.seconds': { probability: '30%' },
  'clock.missing': { probability: '30%' },
  'payload.truncated': { probability: '30%' },
  'payload.invalid_utf8': { probability: '30%' },
  'payload.oversized': { probability: '10%' },
  'payload.deep': { probability: '30%' },
  'network.loss': { probability: '30%' },
  'network.duplicate': { copies: 3, probability: '30%' },
  'network.reorder': { probability: '30%' },
  'network.delay': { by: '7s', probability: '30%' },
  'network.dropout': { at: '30s', for: '20s', every: '1m' },
  'network.half_open': { at: '30s', for: '20s', every: '1m' },
  'network.reconnect_storm': { at: '10s', every: '20s' },
  'security.wrong_password': { probability: '30%' },
  'security.foreign_topic': { probability: '30%' },
};
const nameOf = (fault: FaultName) => fault.replaceAll(/[._]/g, '-');

function faults(): FaultSpec[] {
  const alone = faultNames.map((fault) => faultSpec.parse({ fault, fleet: nameOf(fault), ...settings[fault] }));
  const late = { fault: 'clock.jump', fleet: 'late', by: '-20m', at: '30s', for: '20s', every: '1m' };
  const together = faultNames
    .filter((fault) => 'probability' in settings[fault])
    .map((fault) => faultSpec.parse({ fault, fleet: 'all', ...settings[fault], probability: '5%' }));
  return [...alone, faultSpec.parse(late), ...together];
}

/** A device for each fault, three that have all that hit single messages, and one without any. */
function fleets(): Fleet[] {
  const fleet = (name: string, count = 1) =>
    testFleet({ name, count, deviceName: `${name}-{n}`, intervalMs: 1000, jitter: 0.2 });
  return [...faultNames.map((fault) => fleet(nameOf(fault))), fleet('late'), fleet('all', 3), fleet('healthy')];
}

const rules = parseRules(
  '- { name: too-warm, severity: warning, field: temperature, when: { above: 45, clear: 40 } }',
  'rules.yaml',
);

let run: FaultyRun;
beforeAll(async () => {
  run = await faultyRun(fleets(), faults(), lastsMs);
}, 120_000);

async function report(breaks: Breaks = {}, sent: Sent = run) {
  return verified(await process(sent, breaks, rules), sent, rules);
}

test('all is as the truth says, and every fault took part', async () => {
  const proved = await report();
  expect(found(proved)).toEqual({ broken: [], counts: {}, problems: [] });
  const { faults: counts, deadLetters: letters, alerts, messages, late, ledger } = proved;
  // A storm marks no message: what was in flight is sent again, and that is all.
  const labels = faultNames.filter((fault) => fault !== 'network.reconnect_storm');
  expect(Object.keys(counts).sort()).toEqual([...labels].sort());
  for (const { messages: hit, problems } of Object.values(counts)) {
    expect(hit).toBeGreaterThan(15);
    expect(problems).toBe(0);
  }
  expect(Object.keys(letters).sort()).toEqual([
    'future',
    'no_route',
    'not_json',
    'not_utf8',
    'refused_type_conflict',
    'too_old',
    'unsupported_value',
  ]);
  expect(late).toBeGreaterThan(30);
  expect(messages).toMatchObject({ lost: 0, notArrived: 0, altered: 0 });
  for (const fate of ['refused', 'notSent'] as const) expect(messages[fate]).toBeGreaterThan(15);
  expect(ledger.totals?.duplicates).toBeGreaterThan(15);
  expect(alerts).toMatchObject({ precision: 1, recall: 1 });
  for (const fault of ['sensor.spike', 'sensor.unit_flip', 'sensor.drift']) {
    expect(counts[fault]!.alertsRaised).toBeGreaterThan(0);
  }
  expect(run.stats).toMatchObject({ unacknowledged: 0, skipped: 0 });
  expect(run.stats.reconnects).toBeGreaterThan(10);
});

test.each([0, 2] as const)('at QoS %i too', async (qos) => {
  const other = await faultyRun(fleets(), faults(), 60_000, { qos, clean: qos === 0, clientId: '{device}' });
  const proved = await report({}, other);
  expect(found(proved)).toEqual({ broken: [], counts: {}, problems: [] });
  expect(proved.messages.stored).toBeGreaterThan(1000);
  expect(proved.messages.acknowledged > 0).toBe(qos === 2);
});

test('the same seed gives the same faults in the same messages, another seed others', async () => {
  const labelled = async (seed: number) => {
    const { messages } = await faultyRun(fleets(), faults(), 20_000, { seed });
    const marks = messages.map(({ device, reading, faults: labels }) =>
      [device, reading?.seq, labels.join()].join(' '),
    );
    return marks.sort();
  };
  const first = await labelled(1);
  expect(await labelled(1)).toEqual(first);
  expect(await labelled(2)).not.toEqual(first);
});

const topicOf = (record: { headers: Readonly<Record<string, string>> }) => record.headers[headers.mqttTopic];
const digestOf = (value: Buffer | null) => createHash('sha256').update(value!).digest('base64url');

/** One of the messages that have this fault and no other. */
function victimOf(fault: FaultName): TruthMessage {
  return run.messages.filter(
    ({ device, faults: labels }) => device.startsWith(nameOf(fault)) && labels[0] === fault,
  )[5]!;
}

function withoutRecords(is: (record: BusRecord) => boolean): Sent {
  return { ...run, records: run.records.filter((record) => record.value === null || !is(record)) };
}

const isOf = (victim: TruthMessage) => (record: { value: Buffer | null; headers: Record<string, string> }) =>
  topicOf(record) === victim.topic && digestOf(record.value) === victim.digest;

const isPointOf =
  ({ device, reading }: TruthMessage) =>
  ({ series, timeUs }: Point) =>
    series.measurement === 'telemetry' && series.tags.device === device && timeUs === reading!.timeMs! * 1000;

function deadLetters(change: (record: NewRecord) => readonly NewRecord[]): Breaks {
  return { append: (to, records) => (to === topics.dlq ? records.flatMap(change) : records) };
}

interface Broken {
  readonly breaks?: Breaks;
  readonly sent?: Sent;
}
type Break = [
  what: string,
  fault: FaultName,
  breaks: (victim: TruthMessage) => Broken,
  promise: string,
  kind: string,
  text: string,
];

const dropsPoint = (victim: TruthMessage): Broken => ({
  breaks: { write: (points) => points.filter((point) => !isPointOf(victim)(point)) },
});
const dropsLetter = (victim: TruthMessage): Broken => ({
  breaks: deadLetters((record) => (isOf(victim)(record as BusRecord) ? [] : [record])),
});
const dropsRecord = (victim: TruthMessage): Broken => ({ sent: withoutRecords(isOf(victim)) });

const breaks: Break[] = [
  ['a spike is taken for nonsense and dropped', 'sensor.spike', dropsPoint, 'P2', 'unaccounted', 'nor dead-lettered'],
  [
    'a stuck sensor is corrected',
    'sensor.stuck',
    (victim) => ({
      breaks: {
        write: (points) =>
          points.map((point) =>
            isPointOf(victim)(point) ? { ...point, fields: { ...point.fields, temperature: 1 } } : point,
          ),
      },
    }),
    'P2',
    'altered',
    'the store holds {',
  ],
  [
    'a spike raises no alert',
    'sensor.spike',
    ({ device }) => ({
      breaks: {
        append: (to, records) =>
          to === topics.alerts ? records.filter((record) => record.headers.ce_subject !== `north/${device}`) : records,
      },
    }),
    'P3',
    'alert',
    'no alert',
  ],
  ['a number as text is dropped silently', 'sensor.type_flip', dropsLetter, 'P2', 'deadLetter', 'no dead letter'],
  ['a message of a dropout is lost', 'network.dropout', dropsRecord, 'P1', 'lost', 'acknowledged, and not in the raw'],
  ['a message of a half-open connection is lost', 'network.half_open', dropsRecord, 'P1', 'lost', 'acknowledged'],
  [
    'a duplicate is stored twice',
    'network.duplicate',
    (victim) => ({
      breaks: {
        write: (points) =>
          points.flatMap((point) => (isPointOf(victim)(point) ? [point, { ...point, k: 9 }] : [point])),
      },
    }),
    'P2',
    'storedTwice',
    'once more, with k 9',
  ],
  ['a reordered reading is dropped', 'network.reorder', dropsPoint, 'P2', 'unaccounted', 'nor dead-lettered'],
  ['a delayed reading is dropped', 'network.delay', dropsPoint, 'P2', 'unaccounted', 'nor dead-lettered'],
  [
    'a lost message is there',
    'network.loss',
    (victim) => ({ sent: { ...run, records: [...run.records, madeOf(victim)] } }),
    'P2',
    'taken',
    'was never sent',
  ],
  [
    'a reading of an unset clock has another reason',
    'clock.epoch',
    (victim) => ({
      breaks: deadLetters((record) =>
        isOf(victim)(record as BusRecord)
          ? [{ ...record, headers: { ...record.headers, [headers.dlqReason]: 'future' } }]
          : [record],
      ),
    }),
    'P2',
    'deadLetter',
    'dead-lettered as future, expected too_old',
  ],
  ['a reading of the future is dropped silently', 'clock.jump', dropsLetter, 'P2', 'deadLetter', 'no dead letter'],
  ['a reading without a time is lost', 'clock.missing', dropsRecord, 'P1', 'lost', 'acknowledged, and not in the raw'],
  ['a torn payload is dropped silently', 'payload.truncated', dropsLetter, 'P2', 'deadLetter', 'expected one with'],
  ['a foreign message is dropped silently', 'security.foreign_topic', dropsLetter, 'P2', 'deadLetter', 'no_route'],
];

/** The record that a message would have made which was never sent. */
function madeOf({ site, device, topic, reading, digest }: TruthMessage): BusRecord {
  const last = run.records.at(-1)!;
  const { timeMs, seq, fields } = reading!;
  const value = Buffer.from(JSON.stringify({ ts: timeMs, seq, ...fields }));
  expect(digestOf(value)).toBe(digest);
  const names = { [headers.ingestId]: 'gateway-made', [headers.mqttTopic]: topic };
  return { ...last, key: `${site}/${device}`, value, headers: names, offset: last.offset + 1 };
}

test.each(breaks)('%s (%s)', async (_, fault, broken, promise, kind, text) => {
  const victim = victimOf(fault);
  const { breaks: wrapped = {}, sent = run } = broken(victim);
  const result = await report(wrapped, sent);
  expect(result.ok).toBe(false);
  expect(found(result).broken).toContain(promise);
  const problem = result.problems.find((one) => one.kind === kind && one.device === `${victim.site}/${victim.device}`);
  expect(problem?.text, JSON.stringify(found(result))).toContain(text);
});

test.each<[what: string, fault: FaultName, gateway: Partial<GatewayOptions>]>([
  ['takes what is too large', 'payload.oversized', { maxPacketBytes: 1_048_576 }],
  ['asks for no password', 'security.wrong_password', { credentials: null }],
])('a gateway that %s', async (_, fault, gateway) => {
  const own = fleets().filter(({ name }) => name === nameOf(fault));
  const taken = await faultyRun(own, faults(), 30_000, {}, gateway);
  const result = await report({}, taken);
  expect(found(result).broken).toEqual(['P2']);
  expect(result.problemCounts.taken).toBe(taken.stats.faults[fault]);
  expect(result.faults[fault]!.problems).toBeGreaterThanOrEqual(taken.stats.faults[fault]!);
  expect(result.problems).toContainEqual(
    expect.objectContaining({ kind: 'taken', text: 'is there, though it had to be refused by the broker' }),
  );
});
