/** What a number comes from, as `sluice explain` says, against what a processor wrote. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import type { Bus, BusRecord } from '../../bus/port.ts';
import { explanationText } from '../../cli/explain-text.ts';
import { resolveConfig } from '../../core/config.ts';
import { type ExplainContext, explainWindow, isEmpty, type Question } from '../../processors/explain/explain.ts';
import type { ProcessorOptions } from '../../processors/options.ts';
import { withMethods } from '../support/with-methods.ts';
import { type Message, rawRecord, startMs, unrulyFleet } from './records.ts';
import { drained, openRig, type Rig, topics } from './rig.ts';

const minute = 60_000;
const windows = [
  { name: 'five', type: 'tumbling', size: '5m', aggregates: ['count', 'mean', 'p95'] },
  { name: 'hops', type: 'hopping', size: '4m', advance: '1m', aggregates: ['count', 'increase'] },
  { name: 'visits', type: 'session', gap: '20s', aggregates: ['count', 'max'] },
];
const { processing, windows: specs } = resolveConfig({
  file: { name: 'sluice.yaml', content: { windows, processing: { latenessMs: 120_000 } } },
  env: {},
  flags: {},
  readText: () => '',
});
const options: ProcessorOptions = { ...processing, windows: specs, sessionTimeoutMs: 3000 };

async function processed(records: readonly BusRecord[], over: Partial<ProcessorOptions> = {}): Promise<Rig> {
  const rig = await openRig([]);
  onTestFinished(() => rig.close());
  await rig.append(records);
  const processor = rig.processor({ ...options, ...over });
  await processor.start();
  await drained(processor, records.length);
  await processor.close(5000);
  return rig;
}

function contextOf({ bus, store }: Rig, over: Partial<ExplainContext> = {}): ExplainContext {
  return { bus, store, topics, options, progress: () => {}, ...over };
}

function question(name: string, timeMs: number, device = 's1', field = 'temperature'): Question {
  return { site: 'lab', device, field, name, timeUs: timeMs * 1000 };
}

/** A device with one reading sent twice, one that comes when its minute is over, and one that comes too late. */
const morning: readonly (Message | number)[] = [
  { at: 10, temperature: 20 },
  { at: 40, temperature: 21 },
  { at: 40, temperature: 21, comes: 42 },
  { at: 66, temperature: 22 },
  { at: 50, temperature: 25, comes: 67 },
  { at: 720, temperature: 23 },
  { at: 20, temperature: 24, comes: 721 },
].map(({ at, temperature, comes = at }, n) => ({
  payload: { ts: startMs + at * 1000, temperature },
  atMs: comes * 1000,
  ingestId: `k3v9-${n}`,
}));

test('the example of docs/processing.md', async () => {
  const rig = await processed(morning.map(rawRecord), { latenessMs: 600_000 });
  const asked = question('rollup_1m', startMs);
  const explanation = await explainWindow(contextOf(rig, { options: { ...options, latenessMs: 600_000 } }), asked);
  const docs = readFileSync(join(import.meta.dirname, '../../docs/processing.md'), 'utf8');
  const example = /^\$ sluice explain .*\n([^`]*)```/m.exec(docs)?.[1];
  expect(`${explanationText(asked, explanation)}\n`).toBe(example);
});

test('of an unruly fleet every stored window is explained: the same points, and a cause for each revision', async () => {
  // For no longer than readings without a time are known again.
  const rig = await processed(unrulyFleet(5, 750));
  const causes = new Set<string>();
  let explained = 0;
  for (const name of ['rollup_1m', 'rollup_1h', 'five', 'hops', 'visits', 'state_1m']) {
    for (const [device, field] of [
      ['s0', 'temperature'],
      ['s3', 'temperature'],
      ['s1', name === 'state_1m' ? 'state' : 'rpm'],
    ] as const) {
      const stored = await rig.store.windows({
        ...{ measurement: name, site: 'lab', device, field },
        ...{ fromMs: startMs - 3_600_000, toMs: startMs + 3_600_000 },
      });
      for (const { timeUs, fields } of stored.filter((_, n) => n % 2 === 0)) {
        if (fields.retracted === true) continue;
        const found = await explainWindow(contextOf(rig), { site: 'lab', device, field, name, timeUs });
        expect(found, `${name} ${device} ${field} ${timeUs}`).toMatchObject({ startUs: timeUs, isCut: false });
        expect(found!.points.filter(({ isEqual }) => !isEqual)).toEqual([]);
        const revisions = found!.points.reduce((sum, point) => sum + Number(point.stored!.revision) + 1, 0);
        expect(found!.emissions.count).toBe(revisions);
        if ('count' in fields) expect(found!.readings.written).toBe(fields.count);
        for (const { cause } of found!.emissions.first) causes.add(cause);
        explained++;
      }
    }
  }
  expect(explained).toBeGreaterThan(30);
  expect([...causes].sort()).toEqual(['correction', 'silence', 'watermark']);
});

test('what the late topic has twice is told once', async () => {
  const rig = await processed(morning.map(rawRecord), { latenessMs: minute });
  const context = contextOf(rig, { options: { ...options, latenessMs: minute } });
  const [late] = (await rig.bus.read(topics.late, 0, 0, 10)).records;
  await rig.bus.append(topics.late, [late!, { ...late!, value: Buffer.from('{') }]);
  const found = await explainWindow(context, question('rollup_1m', startMs));
  expect(found).toMatchObject({ isSettled: true, toOffset: 6 });
  expect(found!.late).toMatchObject({ count: 1, first: [{ offset: 6, timeUs: (startMs + 20_000) * 1000 }] });
});

test('records that are gone from the bus are missed, and that is said', async () => {
  const rig = await processed(morning.map(rawRecord));
  const isKept = (offset: number) => Math.max(offset, 1);
  const bus: Bus = withMethods(rig.bus, {
    read: (topic, partition, from, max) =>
      rig.bus.read(topic, partition, topic === topics.raw ? isKept(from) : from, max),
    offsetAt: async (...args) => isKept(await rig.bus.offsetAt(...args)),
  });
  const asked = question('rollup_1m', startMs);
  const found = await explainWindow(contextOf(rig, { bus }), asked);
  expect(found).toMatchObject({ fromOffset: 1, isCut: true, readings: { count: 2 } });
  expect(found!.points).toMatchObject([{ isEqual: false, stored: { count: 3 }, recomputed: { count: 2 } }]);
  expect(explanationText(asked, found)).toMatch(/not the same: records are gone.*\n[\s\S]*earlier records are gone/);
});

test('a window that is still open, one that never was, and one that is not written', async () => {
  const rig = await processed(morning.map(rawRecord));
  const open = question('rollup_1m', startMs + 12 * minute);
  const found = await explainWindow(contextOf(rig), open);
  expect(found).toMatchObject({ readings: { count: 1 }, points: [], isSettled: false });
  expect(explanationText(open, found)).toMatch(/written +not yet\n +stored +nothing yet/);
  const never = await explainWindow(contextOf(rig), question('rollup_1m', startMs + 5 * minute));
  expect(isEmpty(never!)).toBe(true);
  expect(await explainWindow(contextOf(rig), question('visits', startMs + 5 * minute))).toBeNull();
  await expect(explainWindow(contextOf(rig), question('rollup_5m', startMs))).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
    message: expect.stringContaining('rollup_1m, rollup_1h, rollup_1d, state_1m, five, hops, visits'),
  });
});
