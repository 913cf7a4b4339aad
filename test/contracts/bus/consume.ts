import { expect, test } from 'vitest';
import { SluiceError } from '../../../core/errors.ts';
import { eventually } from '../../support/eventually.ts';
import { gate, groupDeadline, type Members, Recorder, record, run, valuesOf } from './harness.ts';

export function consumeContract(members: Members): void {
  test('a group without a commit starts at the beginning, and goes on with what is appended later', async () => {
    const [writer, reader] = [await members.open(), await members.open()];
    const topic = await members.topic();
    await writer.append(
      topic,
      [0, 1, 2].flatMap((partition) => run(10, partition)),
    );
    const recorder = new Recorder();
    const consumption = await recorder.join(reader, topic, 'group');
    await eventually(() => recorder.records.length === 30, groupDeadline);
    expect([...consumption.assigned()].sort()).toEqual([0, 1, 2]);

    await writer.append(
      topic,
      [0, 1, 2].flatMap((partition) => run(5, partition, 10)),
    );
    await eventually(() => recorder.records.length === 45, groupDeadline);
    for (const partition of [0, 1, 2]) {
      expect(valuesOf(recorder.ofPartition(partition))).toEqual(Array.from({ length: 15 }, (_, i) => `r${i}`));
      expect(recorder.ofPartition(partition).map((each) => each.offset)).toEqual(
        Array.from({ length: 15 }, (_, i) => i),
      );
    }
    await consumption.close();
    await consumption.failed;
  });

  test('batches are of one partition, in order, bounded, never two at once; the next waits for the handler', async () => {
    const bus = await members.open();
    const topic = await members.topic();
    for (let i = 0; i < 4; i++)
      await bus.append(
        topic,
        [0, 1, 2].flatMap((partition) => run(25, partition, i * 25)),
      );
    const running = new Map<number, number>();
    const mostAtOnce = new Map<number, number>();
    const recorder = new Recorder(async (batch) => {
      const now = (running.get(batch.partition) ?? 0) + 1;
      running.set(batch.partition, now);
      mostAtOnce.set(batch.partition, Math.max(now, mostAtOnce.get(batch.partition) ?? 0));
      await new Promise((resolve) => setTimeout(resolve, 2));
      running.set(batch.partition, now - 1);
    });
    const consumption = await recorder.join(bus, topic, 'group', 7);
    await eventually(() => recorder.records.length >= 300, groupDeadline);
    await consumption.close();

    expect([...mostAtOnce.values()]).toEqual([1, 1, 1]);
    for (const batch of recorder.batches) {
      expect(batch.topic).toBe(topic);
      expect(batch.records.length).toBeLessThanOrEqual(7);
      if (!batch.closing) expect(batch.records.length).toBeGreaterThan(0);
      expect(batch.records.every((each) => each.partition === batch.partition)).toBe(true);
      if (!batch.closing) expect(batch.endOffset).toBe(100);
    }
    for (const partition of [0, 1, 2]) {
      expect(recorder.ofPartition(partition).map((each) => each.offset)).toEqual(
        Array.from({ length: 100 }, (_, i) => i),
      );
    }
  });

  test('nothing of a partition comes while its handler has not resolved, whatever is appended', async () => {
    const bus = await members.open();
    const topic = await members.topic({ partitions: 1 });
    await bus.append(topic, run(3, 0));
    const held = gate();
    const recorder = new Recorder(async (batch) => {
      if (batch.assignment !== null) await held.opened;
    });
    const consumption = await recorder.join(bus, topic, 'group', 3);
    await eventually(() => recorder.batches.length === 1, groupDeadline);
    for (let i = 0; i < 10; i++) await bus.append(topic, run(1, 0, 3 + i));
    await bus.ping();
    expect(recorder.batches).toHaveLength(1);
    held.open();
    await eventually(() => recorder.records.length === 13, groupDeadline);
    expect(valuesOf(recorder.records)).toEqual(Array.from({ length: 13 }, (_, i) => `r${i}`));
    await consumption.close();
  });

  test('only the first batch after an assignment carries it: what was committed, or that nothing was', async () => {
    const bus = await members.open();
    const topic = await members.topic({ partitions: 1 });
    await bus.append(topic, run(10, 0));
    const metadata = `${'€'.repeat(1_365)}x`; // 4,096 bytes of UTF-8: the most that is allowed
    const first = new Recorder(async (batch) => {
      if (batch.records.some((each) => each.offset === 5)) await batch.commit(6, metadata);
    });
    const before = await first.join(bus, topic, 'group', 2);
    await eventually(() => first.records.length === 10, groupDeadline);
    await before.close();
    expect(first.batches[0]?.assignment).toEqual({ committed: null });
    expect(first.batches.slice(1).every((batch) => batch.assignment === null)).toBe(true);

    const second = new Recorder();
    const after = await second.join(bus, topic, 'group', 2);
    await eventually(() => second.records.length === 4, groupDeadline);
    await after.close();
    expect(second.batches[0]?.assignment).toEqual({ committed: { offset: 6, metadata } });
    expect(second.batches.slice(1).every((batch) => batch.assignment === null)).toBe(true);
    expect(second.records.map((each) => each.offset)).toEqual([6, 7, 8, 9]);
  });

  test('processed is not committed: without a commit everything comes again', async () => {
    const [one, two] = [await members.open(), await members.open()];
    const topic = await members.topic({ partitions: 1 });
    await one.append(topic, run(10, 0));
    for (const bus of [one, two]) {
      const recorder = new Recorder();
      const consumption = await recorder.join(bus, topic, 'group');
      await eventually(() => recorder.records.length === 10, groupDeadline);
      expect(recorder.batches[0]?.assignment).toEqual({ committed: null });
      await consumption.close();
    }
  });

  test('the newest commit of a partition counts, with its own metadata, also an older offset', async () => {
    const bus = await members.open();
    const topic = await members.topic({ partitions: 1 });
    await bus.append(topic, run(10, 0));
    const first = new Recorder(async (batch) => {
      if (batch.closing) return;
      await batch.commit(8, 'eight');
      await batch.commit(3, '');
    });
    const before = await first.join(bus, topic, 'group');
    await eventually(() => first.records.length === 10, groupDeadline);
    await before.close();
    const second = new Recorder();
    const after = await second.join(bus, topic, 'group');
    await eventually(() => second.records.length === 7, groupDeadline);
    expect(second.batches[0]?.assignment).toEqual({ committed: { offset: 3, metadata: '' } });
    expect(second.records[0]?.offset).toBe(3);
    await after.close();
  });

  test('groups do not know of each other', async () => {
    const bus = await members.open();
    const topic = await members.topic({ partitions: 1 });
    await bus.append(topic, run(5, 0));
    const one = new Recorder((batch) => (batch.closing ? Promise.resolve() : batch.commit(5, 'one')));
    const two = new Recorder();
    const consumptions = [await one.join(bus, topic, 'group-one'), await two.join(bus, topic, 'group-two')];
    await eventually(() => one.records.length === 5 && two.records.length === 5, groupDeadline);
    await Promise.all(consumptions.map((each) => each.close()));
    expect((await bus.lag(topic, 'group-one')).records).toBe(0);
    expect((await bus.lag(topic, 'group-two')).records).toBe(5);
  });

  test('after a seek the next batch of the partition starts there, ahead or back', async () => {
    const bus = await members.open();
    const topic = await members.topic({ partitions: 1 });
    await bus.append(topic, run(10, 0));
    const recorder = new Recorder(async (batch) => {
      if (recorder.batches.length === 1) batch.seek(7);
      if (recorder.batches.length === 2) batch.seek(1);
    });
    const consumption = await recorder.join(bus, topic, 'group', 3);
    await eventually(() => recorder.batches.length >= 5, groupDeadline);
    await consumption.close();
    const firstOffsets = recorder.batches.slice(0, 5).map((batch) => batch.records[0]?.offset);
    expect(firstOffsets).toEqual([0, 7, 1, 4, 7]);
  });

  test('a heartbeat in a handler is accepted, and its age is known', async () => {
    const bus = await members.open();
    const topic = await members.topic({ partitions: 1 });
    await bus.append(topic, run(1, 0));
    const ages: number[] = [];
    const recorder = new Recorder(async (batch) => {
      await batch.heartbeat();
      ages.push(Date.now() - batch.lastHeartbeatAtMs());
    });
    const consumption = await recorder.join(bus, topic, 'group');
    await eventually(() => ages.length > 0, groupDeadline);
    await consumption.close();
    expect(ages[0]).toBeGreaterThanOrEqual(0);
    expect(ages[0]).toBeLessThan(6_000);
  });

  test('close gives each partition that had a batch its closing batch once, and that may commit', async () => {
    const bus = await members.open();
    const topic = await members.topic();
    await bus.append(topic, [...run(4, 0), ...run(6, 2)]);
    const recorder = new Recorder(async (batch) => {
      if (batch.closing) await batch.commit(batch.partition === 0 ? 4 : 6, `closed ${batch.partition}`);
    });
    const consumption = await recorder.join(bus, topic, 'group');
    await eventually(() => recorder.records.length === 10, groupDeadline);
    await Promise.all([consumption.close(), consumption.close()]);
    await consumption.close();
    await consumption.failed;

    expect(recorder.closing.map((batch) => batch.partition).sort()).toEqual([0, 2]);
    expect(recorder.closing.every((batch) => batch.records.length === 0)).toBe(true);
    expect(recorder.batches.slice(-2).every((batch) => batch.closing)).toBe(true);
    expect(consumption.assigned()).toEqual([]);
    expect((await bus.lag(topic, 'group')).records).toBe(0);
  });

  test('close waits for the running handler, and its partition gets the closing batch after it', async () => {
    const bus = await members.open();
    const topic = await members.topic({ partitions: 1 });
    await bus.append(topic, run(2, 0));
    const held = gate();
    const ended: string[] = [];
    const recorder = new Recorder(async (batch) => {
      if (!batch.closing) await held.opened;
      ended.push(batch.closing ? 'closing' : 'batch');
    });
    const consumption = await recorder.join(bus, topic, 'group');
    await eventually(() => recorder.batches.length === 1, groupDeadline);
    const closed = consumption.close().then(() => ended.push('closed'));
    await bus.ping();
    expect(ended).toEqual([]);
    held.open();
    await closed;
    expect(ended).toEqual(['batch', 'closing', 'closed']);
  });

  test.each([
    ['an Error', () => new Error('the handler is broken')],
    ['a TypeError', () => new TypeError('the handler is broken')],
    ['a retriable SluiceError', () => new SluiceError('STORE_UNAVAILABLE', 'the handler is broken')],
  ])('a handler that throws %s ends the consumption loudly', async (_, fault) => {
    const bus = await members.open();
    const topic = await members.topic({ partitions: 1 });
    await bus.append(topic, run(1, 0));
    const recorder = new Recorder(async (batch) => {
      if (!batch.closing) throw fault();
    });
    const consumption = await recorder.join(bus, topic, 'group');
    await expect(consumption.failed).rejects.toThrow('the handler is broken');
    await consumption.close();
    expect((await bus.lag(topic, 'group')).records).toBe(1);

    await bus.append(topic, [record('k', 'after', { partition: 0 })]);
    expect((await bus.read(topic, 0, 0, 10)).endOffset).toBe(2);
  });
}
