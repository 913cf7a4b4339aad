/** Snapshots as others could leave them: torn, orphaned, of another version, or not there at all. */
import { describe, expect, onTestFinished, test } from 'vitest';
import type { Batch, Bus } from '../../bus/port.ts';
import type { ProcessorOptions } from '../../processors/options.ts';
import { parseRules } from '../../processors/rules/file.ts';
import type { CommitNote } from '../../processors/state.ts';
import { CrashPoint, crashingBus } from '../support/crash.ts';
import { eventually } from '../support/eventually.ts';
import { withMethods } from '../support/with-methods.ts';
import { rawRecord, startMs, unrulyFleet } from './records.ts';
import { drained, openRig, type Rig, readAll, topics } from './rig.ts';

const rules = parseRules('- { name: hot, severity: info, field: temperature, when: { above: 30 } }', 'rules.yaml');
const records = unrulyFleet(21, 900);
const options = { snapshotEveryRecords: 150, maxBatchRecords: 50, sessionTimeoutMs: 3000 };

async function rigWith(count: number): Promise<Rig> {
  const rig = await openRig(rules);
  onTestFinished(() => rig.close());
  await rig.append(records.slice(0, count));
  return rig;
}

/** Processes what is there and closes; the notes of its commits, oldest first. */
async function processAll(rig: Rig, count: number, over: Partial<ProcessorOptions> = {}): Promise<CommitNote[]> {
  const notes: CommitNote[] = [];
  const processor = rig.processor({ ...options, ...over }, { bus: listening(rig.bus, (note) => notes.push(note)) });
  await processor.start();
  await drained(processor, count);
  await processor.close(5000);
  return notes;
}

function listening(bus: Bus, onCommit: (note: CommitNote) => void): Bus {
  const listen = (batch: Batch) =>
    withMethods(batch, {
      commit: async (offset, metadata) => {
        expect(Buffer.byteLength(metadata)).toBeLessThanOrEqual(4096);
        await batch.commit(offset, metadata);
        onCommit(JSON.parse(metadata));
      },
    });
  return withMethods(bus, {
    consume: (topic, group, handler, consuming) =>
      bus.consume(topic, group, (batch) => handler(listen(batch)), consuming),
  });
}

/** The chunks that are still there for readers of a compacted topic. */
async function keptSnapshots(rig: Rig): Promise<string[]> {
  const newest = new Map((await readAll(rig.bus, topics.processorState)).map(({ key, value }) => [key, value]));
  return [...newest].filter(([, value]) => value !== null).map(([key]) => key.split('/')[1]!);
}

function overwrite(rig: Rig, id: string, value: Buffer | null): Promise<void> {
  return rig.bus.append(topics.processorState, [
    { key: `0/${id}/0`, value, headers: {}, timestampMs: 0, partition: 0 },
  ]);
}

describe('snapshots', () => {
  test('the last two are kept, and what a dead writer never committed is tidied by its successor', async () => {
    const rig = await rigWith(600);
    const point = new CrashPoint({ call: 'commit', when: 'before', nth: 2 });
    const crashed = rig.processor(options, { bus: crashingBus(rig.bus, point) });
    await crashed.start();
    await expect(crashed.failed).rejects.toThrow('crashed on purpose');
    await crashed.close(5000);
    expect(await keptSnapshots(rig)).toHaveLength(2);

    const notes = await processAll(rig, 600);
    const last = notes.at(-1)!;
    expect(await keptSnapshots(rig)).toEqual([last.previous!.id, last.current.id]);
  });

  test.each([
    ['torn', (rig: Rig, id: string) => overwrite(rig, id, Buffer.from('torn'))],
    ['missing', (rig: Rig, id: string) => overwrite(rig, id, null)],
  ])('when the newest is %s, the one before is restored and the log is read again from there', async (_, damage) => {
    const reference = await rigWith(900);
    await processAll(reference, 900);
    const rig = await rigWith(600);
    const notes = await processAll(rig, 600);
    await damage(rig, notes.at(-1)!.current.id);
    await rig.append(records.slice(600));
    const processor = rig.processor(options);
    await processor.start();
    const ledger = await drained(processor, 900);
    expect(ledger.messages).toBe(900 - ledger.ticks - ledger.redelivered);
    await processor.close(5000);
    const [from, to] = [records[0]!.timestampMs - 86_400_000, records.at(-1)!.timestampMs + 86_400_000];
    const devices = ['s0', 's1', 's2', 's3', 's4', 's5'];
    expect(await rig.contents(devices, from, to)).toEqual(await reference.contents(devices, from, to));
  });

  test('when none can be read the processor says so and stops, instead of starting from nothing', async () => {
    const rig = await rigWith(600);
    const { current, previous } = (await processAll(rig, 600)).at(-1)!;
    await overwrite(rig, current.id, Buffer.from('torn'));
    await overwrite(rig, previous!.id, null);
    await rig.append(records.slice(600));
    const processor = rig.processor(options);
    await processor.start();
    await expect(processor.failed).rejects.toMatchObject({
      code: 'STATE_UNREADABLE',
      message: expect.stringMatching(/lacks chunk 1 of 1.*processing\.group/),
    });
  });

  test('a commit of another program is refused, not misread', async () => {
    const rig = await rigWith(10);
    const foreign = await rig.bus.consume(topics.raw, 'test', (batch) => batch.commit(5, 'mine'), {
      sessionTimeoutMs: 3000,
      maxBatchRecords: 10,
    });
    await eventually(async () => (await rig.bus.lag(topics.raw, 'test')).records === 5);
    await foreign.close();
    const processor = rig.processor(options);
    await processor.start();
    await expect(processor.failed).rejects.toMatchObject({ code: 'STATE_UNREADABLE' });
  });

  test('a large one is split into chunks that every bus takes', async () => {
    const rig = await openRig([]);
    onTestFinished(() => rig.close());
    const count = 160_000;
    const many = Array.from({ length: count }, (_, i) =>
      rawRecord({ device: `s${i % 4}`, payload: { ts: startMs + i, a: i }, atMs: i }, i),
    );
    await rig.append(many);
    const notes = await processAll(rig, count, { snapshotEveryRecords: 100_000, maxBatchRecords: 5000 });
    expect(notes.at(-1)!.current.chunks).toBeGreaterThan(1);
    await rig.append([rawRecord({ device: 's0', payload: { ts: startMs + 4, a: 4 }, atMs: count }, count)]);
    const processor = rig.processor(options);
    await processor.start();
    expect(await drained(processor, count + 1)).toMatchObject({ accepted: count, duplicates: 1 });
  });
});
