import { expect, test } from 'vitest';
import type { BatchHandler } from '../../../bus/port.ts';
import { type ErrorCode, SluiceError } from '../../../core/errors.ts';
import { eventually } from '../../support/eventually.ts';
import { errorCode } from './error-code.ts';
import { gate, groupDeadline, type Members, Recorder, run } from './harness.ts';

/** Commits everything it is given, under the member's name. */
function committing(name: string): BatchHandler {
  return async (batch) => {
    const last = batch.records.at(-1);
    if (last !== undefined) await batch.commit(last.offset + 1, name);
  };
}

export function groupContract(members: Members): void {
  test('two members share the partitions, and each partition is owned by exactly one', async () => {
    const [one, two] = [await members.open(), await members.open()];
    const topic = await members.topic({ partitions: 4 });
    const all = [0, 1, 2, 3];
    await one.append(
      topic,
      all.flatMap((partition) => run(5, partition)),
    );
    const recorders = [new Recorder(committing('one')), new Recorder(committing('two'))] as const;
    const first = await recorders[0].join(one, topic, 'group');
    await eventually(() => recorders[0].records.length === 20, groupDeadline);
    const second = await recorders[1].join(two, topic, 'group');
    await eventually(() => first.assigned().length === 2 && second.assigned().length === 2, groupDeadline);
    expect([...first.assigned(), ...second.assigned()].sort()).toEqual(all);

    const seenByFirst = recorders[0].records.length;
    await one.append(
      topic,
      all.flatMap((partition) => run(5, partition, 5)),
    );
    await eventually(async () => (await one.lag(topic, 'group')).records === 0, groupDeadline);
    const newOnes = [...recorders[0].records.slice(seenByFirst), ...recorders[1].records];
    expect(newOnes.map((each) => `${each.partition}/${each.offset}`).sort()).toEqual(
      all.flatMap((partition) => [5, 6, 7, 8, 9].map((offset) => `${partition}/${offset}`)),
    );
    await Promise.all([first.close(), second.close()]);
  });

  test('a member that leaves hands over, and the new owner starts at the commit, not at what was processed', async () => {
    const [one, two] = [await members.open(), await members.open()];
    const topic = await members.topic({ partitions: 1 });
    await one.append(topic, run(10, 0));
    const leaving = new Recorder(async (batch) => {
      if (!batch.closing && batch.assignment !== null) await batch.commit(4, 'left here');
    });
    const staying = new Recorder();
    const first = await leaving.join(one, topic, 'group');
    await eventually(() => leaving.records.length === 10, groupDeadline);
    const second = await staying.join(two, topic, 'group');
    await first.close();
    await eventually(() => staying.records.length >= 6, groupDeadline);
    expect(staying.batches[0]?.assignment).toEqual({ committed: { offset: 4, metadata: 'left here' } });
    expect(staying.records.slice(0, 6).map((each) => each.offset)).toEqual([4, 5, 6, 7, 8, 9]);
    expect(second.assigned()).toEqual([0]);
    await second.close();
  });

  test('what a group has committed can be read by others, partition by partition', async () => {
    const [member, other] = [await members.open(), await members.open()];
    const topic = await members.topic({ partitions: 3 });
    expect(await other.committed(topic, 'group')).toEqual([null, null, null]);
    await member.append(topic, [...run(5, 0), ...run(5, 2)]);
    const recorder = new Recorder((batch) => batch.commit(batch.partition + 1, batch.partition === 2 ? 'two' : ''));
    const consumption = await recorder.join(member, topic, 'group');
    await eventually(() => recorder.records.length === 10, groupDeadline);
    await consumption.close();
    expect(await other.committed(topic, 'group')).toEqual([
      { offset: 1, metadata: '' },
      null,
      { offset: 3, metadata: 'two' },
    ]);
    expect(await other.committed(topic, 'another')).toEqual([null, null, null]);
  });

  test('closing the bus leaves the group too, with a closing batch', async () => {
    const [one, two] = [await members.open(), await members.open()];
    const topic = await members.topic({ partitions: 1 });
    await one.append(topic, run(3, 0));
    const leaving = new Recorder((batch) => (batch.closing ? batch.commit(2, 'closed') : Promise.resolve()));
    await leaving.join(one, topic, 'group');
    await eventually(() => leaving.records.length === 3, groupDeadline);
    await one.close();
    expect(leaving.closing).toHaveLength(1);

    const next = new Recorder();
    const consumption = await next.join(two, topic, 'group');
    await eventually(() => next.records.length === 1, groupDeadline);
    expect(next.batches[0]?.assignment).toEqual({ committed: { offset: 2, metadata: 'closed' } });
    await consumption.close();
  });

  test('a member that was not heard of loses the partition, and its late commit is refused and changes nothing', async () => {
    const [one, two] = [await members.open(), await members.open()];
    const topic = await members.topic({ partitions: 1 });
    await one.append(topic, run(4, 0));
    const takenOver = gate();
    const late: (ErrorCode | null)[] = [];
    const silent = new Recorder(async (batch) => {
      if (batch.assignment === null || late.length > 0) return;
      await takenOver.opened;
      late.push(await errorCode(batch.commit(4, 'too late')));
      throw new SluiceError('BUS_ASSIGNMENT_LOST', 'the batch is dropped');
    });
    const first = await silent.join(one, topic, 'group');
    await eventually(() => silent.batches.length === 1, groupDeadline);

    const taker = new Recorder((batch) =>
      batch.assignment === null || batch.closing ? Promise.resolve() : batch.commit(2, 'new owner'),
    );
    const second = await taker.join(two, topic, 'group');
    await eventually(() => taker.records.length === 4, groupDeadline);
    takenOver.open();
    await eventually(() => late.length === 1, groupDeadline);
    expect(late).toEqual(['BUS_ASSIGNMENT_LOST']);
    await second.close();

    // The one that lost it is still a member: it gets the partition back, from the new owner's commit.
    await eventually(() => silent.batches.at(-1)?.assignment?.committed?.offset === 2, groupDeadline);
    expect(silent.batches.at(-1)?.assignment).toEqual({ committed: { offset: 2, metadata: 'new owner' } });
    await first.close();
    await first.failed;
  });

  test('lag counts what is not committed, and its seconds are the age of the oldest such record', async () => {
    const bus = await members.open();
    const topic = await members.topic({ partitions: 2 });
    expect(await bus.lag(topic, 'group')).toEqual({ records: 0, seconds: 0 });
    const ageMs = [90_000, 60_000, 30_000];
    const nowMs = Date.now();
    await bus.append(
      topic,
      run(3, 0).map((each, i) => ({ ...each, timestampMs: nowMs - ageMs[i]! })),
    );
    await bus.append(
      topic,
      run(1, 1).map((each) => ({ ...each, timestampMs: nowMs })),
    );
    const before = await bus.lag(topic, 'group');
    expect(before.records).toBe(4);
    expect(before.seconds).toBeGreaterThanOrEqual(89);
    expect(before.seconds).toBeLessThan(120);

    const upTo = [2, 1];
    const recorder = new Recorder((batch) => batch.commit(upTo[batch.partition]!, ''));
    const consumption = await recorder.join(bus, topic, 'group');
    await eventually(() => recorder.records.length === 4, groupDeadline);
    await consumption.close();
    const after = await bus.lag(topic, 'group');
    expect(after.records).toBe(1);
    expect(after.seconds).toBeGreaterThanOrEqual(29);
    expect(after.seconds).toBeLessThan(80);

    upTo[0] = 3;
    const again = await recorder.join(bus, topic, 'group');
    await eventually(async () => (await bus.lag(topic, 'group')).records === 0, groupDeadline);
    await again.close();
    expect(await bus.lag(topic, 'group')).toEqual({ records: 0, seconds: 0 });
  });
}
