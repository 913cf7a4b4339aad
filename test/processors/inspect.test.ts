/** What `sluice state show` reads from snapshots: whole ones, and such as others could leave. */
import { expect, onTestFinished, test } from 'vitest';
import { partitionText } from '../../cli/state-text.ts';
import { resolveConfig } from '../../core/config.ts';
import { type InspectContext, inspectPartition } from '../../processors/inspect.ts';
import { parseRules } from '../../processors/rules/file.ts';
import { type CommitNote, decodeNote, encodeNote } from '../../processors/state.ts';
import { eventually } from '../support/eventually.ts';
import { unrulyFleet } from './records.ts';
import { drained, openRig, type Rig, topics } from './rig.ts';

const rules = parseRules('- { name: hot, severity: info, field: temperature, when: { above: 30 } }', 'rules.yaml');
const records = unrulyFleet(21, 600);
const { processing: options } = resolveConfig({ env: {}, flags: {}, readText: () => '' });

async function processed(): Promise<{ rig: Rig; note: CommitNote; context: InspectContext }> {
  const rig = await openRig(rules);
  onTestFinished(() => rig.close());
  await rig.append(records);
  const processor = rig.processor({ snapshotEveryRecords: 150, maxBatchRecords: 50, sessionTimeoutMs: 3000 });
  await processor.start();
  await drained(processor, records.length);
  await processor.close(5000);
  const context = { bus: rig.bus, topics, group: 'test', options, rules };
  return { rig, note: decodeNote((await rig.bus.committed(topics.raw, 'test'))[0]!.metadata), context };
}

function overwrite(rig: Rig, id: string, value: Buffer | null): Promise<void> {
  return rig.bus.append(topics.processorState, [
    { key: `0/${id}/0`, value, headers: {}, timestampMs: 0, partition: 0 },
  ]);
}

/** Commits as a member of the group would. */
async function commit({ bus }: Rig, offset: number, metadata: string): Promise<void> {
  await bus.append(topics.raw, [records[0]!]);
  const member = await bus.consume(topics.raw, 'test', (batch) => batch.commit(offset, metadata), {
    sessionTimeoutMs: 3000,
    maxBatchRecords: 10,
  });
  await eventually(async () => (await bus.committed(topics.raw, 'test'))[0]?.metadata === metadata);
  await member.close();
}

test('a whole one: where it is, what is in it, and of one device all that is known', async () => {
  const { note, context } = await processed();
  const report = await inspectPartition(context, 0, 'lab/s0');
  expect(report).toMatchObject({ partition: 0, problem: null, commit: { offset: 600, ...note } });
  const state = report.state!;
  expect(state).toMatchObject({
    snapshot: note.current,
    clockMs: records.at(-1)!.timestampMs,
    devices: 6,
    newest: { site: 'lab', lastSeenMs: expect.any(Number) },
    ledger: { nextOffset: 600 },
  });
  expect(state.bytes).toBeGreaterThan(state.biggest!.bytes);
  expect(state.windows['1h'].open).toBeGreaterThan(0);
  const device = state.device!;
  expect(device).toMatchObject({ site: 'lab', device: 's0', watermarkUs: device.newestUs! - 5_000_000 });
  expect(device.horizonUs).toBeLessThanOrEqual(device.watermarkUs! - 600_000_000);
  const tallied = Object.entries(state.windows).map(([every, { open, provisional, final }]) => [
    every,
    open + provisional + final,
  ]);
  expect(device.windows.length).toBeLessThanOrEqual(tallied.reduce((sum, [, count]) => sum + Number(count), 0));
  const day = device.windows.find(({ every }) => every === '1d')!;
  const minutes = device.windows.filter(({ every, state: is }) => every === '1m' && is !== 'open');
  expect(minutes.every(({ fields }) => fields.every(({ count, written }) => count > 0 && written > 0))).toBe(true);
  expect(day.fields[0]!.count).toBeGreaterThan(minutes[0]!.fields[0]!.count);
  expect(device.rules).toMatchObject([{ rule: 'hot', field: 'temperature' }]);
  expect(device.others).toEqual([{ name: 'state_1m', bytes: expect.any(Number) }]);
  const text = partitionText(report, context, state.writtenAtMs + 12_000, 'lab/s0');
  expect(text).toContain(`offset 600: snapshot ${note.current.id}, version ${note.current.version}`);
  expect(text).toMatch(/^ {2}snapshot .* 12 s ago$/m);
  expect(text).toMatch(/^Device lab\/s0$/m);
  expect(text).toMatch(/^ {2}window 1h .* (open|provisional): temperature \d+ values/m);
});

test('nothing is committed yet, or nothing is known of the device', async () => {
  const rig = await openRig(rules);
  onTestFinished(() => rig.close());
  const context = { bus: rig.bus, topics, group: 'test', options, rules };
  expect(await inspectPartition(context, 0, null)).toEqual({ partition: 0, commit: null, problem: null, state: null });
  const { context: other } = await processed();
  const report = await inspectPartition(other, 0, 'lab/nobody');
  expect(report.state!.device).toBeNull();
  expect(partitionText(report, other, 0, 'lab/nobody')).toContain('nothing is known of it');
});

test.each<[string, RegExp, (rig: Rig, note: CommitNote) => Promise<void>]>([
  ['torn', /does not match its checksum/, (rig, { current }) => overwrite(rig, current.id, Buffer.from('torn'))],
  ['without a chunk', /lacks chunk 1 of 1/, (rig, { current }) => overwrite(rig, current.id, null)],
  [
    'of a newer program',
    /has version 99, this program reads version \d/,
    (rig, note) => commit(rig, 600, encodeNote({ ...note, current: { ...note.current, version: 99 } })),
  ],
])('one that is %s is told with the fix, and the one before is shown', async (_, problem, damage) => {
  const { rig, note, context } = await processed();
  await damage(rig, note);
  const report = await inspectPartition(context, 0, null);
  expect(report.problem).toMatch(problem);
  expect(report.problem).toContain('processing.group');
  expect(report.state!.snapshot).toEqual(note.previous);
  expect(report.state!.ledger.nextOffset).toBe(note.previous!.offset);
  expect(partitionText(report, context, Date.now(), null)).toMatch(/PROBLEM +iot\.processor\.state/);
});

test('when neither can be read, that is all that is told', async () => {
  const { rig, note, context } = await processed();
  await overwrite(rig, note.current.id, Buffer.from('torn'));
  await overwrite(rig, note.previous!.id, null);
  const report = await inspectPartition(context, 0, null);
  expect(report).toMatchObject({ problem: expect.stringContaining('checksum'), state: null });
  expect(partitionText(report, context, 0, null)).toContain('none can be read');
});

test('a commit of another program is told as such', async () => {
  const { rig, context } = await processed();
  await commit(rig, 5, 'mine');
  await expect(inspectPartition(context, 0, null)).rejects.toMatchObject({ code: 'STATE_UNREADABLE' });
});
