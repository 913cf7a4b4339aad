/** One end per command, told once, whatever crashes: batches as a bus gives them, made by hand. */
import { expect, it, onTestFinished } from 'vitest';
import type { Batch, BatchHandler, NewRecord } from '../../bus/port.ts';
import { SluiceError } from '../../core/errors.ts';
import { silentLogger } from '../../core/log.ts';
import { topicNames, topicSpecs } from '../../core/topics.ts';
import { Keeper } from '../../gateway/commands/keeper.ts';
import { eventually } from '../support/eventually.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { MemoryBus } from '../support/memory-bus.ts';
import { withMethods } from '../support/with-methods.ts';
import { commandRecord, outcomeRecord, startMs } from './commands-records.ts';

const topics = topicNames();

/** A bus with a partition of commands, and keepers on it whose batches a test makes. */
async function openRig() {
  const clock = new ManualClock(startMs);
  const bus = new MemoryBus({ clock });
  await bus.createTopics(topicSpecs({ prefix: 'iot.', partitions: 1, rawRetentionMs: null, rawRetentionBytes: null }));

  async function keeper() {
    let handler: BatchHandler = async () => {};
    const own = withMethods(bus, {
      consume: async (_topic, _group, given) => {
        handler = given;
        return { assigned: () => [0], failed: new Promise<void>(() => {}), close: async () => {} };
      },
    });
    const say = (outcome: NewRecord) => void bus.append(topics.commands, [outcome]);
    const made = new Keeper({ bus: own, topics, instance: 'k', say, clock, log: silentLogger });
    made.start();
    onTestFinished(() => made.close());
    await Promise.resolve();
    let committed: number | null = null;
    return {
      keeper: made,
      get committed() {
        return committed;
      },
      /** Records of the log from an offset on. `commit: 'lost'`: as in a crash before it. */
      give: (from: number, over: Partial<Batch> = {}) => {
        const records = bus.records(topics.commands).slice(from);
        return handler({
          topic: topics.commands,
          partition: 0,
          assignment: null,
          records,
          endOffset: from + records.length,
          closing: false,
          heartbeat: async () => {},
          lastHeartbeatAtMs: () => clock.nowMs(),
          commit: async (offset) => {
            committed = offset;
          },
          seek: () => {},
          ...over,
        });
      },
    };
  }

  return {
    clock,
    bus,
    keeper,
    append: (...records: NewRecord[]) => bus.append(topics.commands, records),
    results: () => bus.records(topics.commandResults).map(({ value }) => JSON.parse(String(value))),
    said: () => bus.records(topics.commands).flatMap(({ headers }) => headers['command.outcome'] ?? []),
  };
}

const first = { assignment: { committed: null } };

it('publishes the end of a command, and commits what comes before the oldest without one', async () => {
  const { keeper, append, results } = await openRig();
  const one = await keeper();
  await append(commandRecord('a'), commandRecord('b'), outcomeRecord('b', 'acknowledged'));
  await one.give(0, first);
  expect(results()).toMatchObject([{ id: 'b', result: 'delivered' }]);
  expect(one.committed).toBe(0);
  expect(one.keeper.pending).toBe(1);
  await append(outcomeRecord('a', 'acknowledged'));
  await one.give(3);
  expect(results()).toMatchObject([{ id: 'b' }, { id: 'a', result: 'delivered' }]);
  expect(one.committed).toBe(4);
  expect(one.keeper.ended).toEqual({ delivered: 2 });
});

it('says that the time of a command is over, once, and lets the log decide', async () => {
  const { clock, keeper, append, results, said } = await openRig();
  const one = await keeper();
  await append(commandRecord('a', { expiresInMs: 5000 }), commandRecord('n', { expiresInMs: 5000, isNow: true }));
  await one.give(0, first);
  clock.advance(5900);
  expect(said()).toEqual([]);
  clock.advance(5000);
  expect(said()).toEqual(['expired', 'offline']);
  expect(results()).toEqual([]);
  // Behind them in the log: too late.
  await append(outcomeRecord('a', 'acknowledged'));
  await one.give(2);
  expect(results()).toMatchObject([
    { id: 'a', result: 'expired' },
    { id: 'n', result: 'offline' },
  ]);
  expect(one.committed).toBe(5);
});

it('tells nothing twice when it was killed between a result and its commit', async () => {
  const { keeper, append, results } = await openRig();
  const one = await keeper();
  await append(commandRecord('a'), commandRecord('b'), outcomeRecord('a', 'acknowledged'));
  const killed = () => Promise.reject(new Error('killed'));
  await expect(one.give(0, { ...first, commit: killed })).rejects.toThrow('killed');
  expect(results()).toHaveLength(1);

  const two = await keeper();
  await append(outcomeRecord('b', 'acknowledged'));
  await two.give(0, first);
  expect(results()).toMatchObject([{ id: 'a' }, { id: 'b' }]);
  expect(two.committed).toBe(4);
});

it('tells what was not told when it was killed before the result', async () => {
  const { bus, keeper, append, results } = await openRig();
  const one = await keeper();
  await append(commandRecord('a'), outcomeRecord('a', 'acknowledged'));
  const hold = bus.hold((topic) => topic === topics.commandResults);
  const lost = () => Promise.reject(new SluiceError('BUS_ASSIGNMENT_LOST', 'killed'));
  const given = one.give(0, { ...first, commit: lost }).catch(() => {});
  await eventually(() => hold.waiting.length === 1);
  const two = await keeper();
  const other = two.give(0, first);
  hold.release();
  await Promise.all([given, other]);
  // Both were appending: what is told twice is the same twice.
  expect(new Set(results().map((result) => JSON.stringify(result))).size).toBe(1);
});

it('begins anew at each assignment, from the commit, without a second end', async () => {
  const { keeper, append, results } = await openRig();
  const one = await keeper();
  await append(commandRecord('a'), commandRecord('b'), outcomeRecord('b', 'acknowledged'), commandRecord('b'));
  await one.give(0, first);
  await one.give(0, { assignment: { committed: { offset: 0, metadata: '' } } });
  expect(one.keeper.pending).toBe(1);
  await append(outcomeRecord('a', 'expired'));
  await one.give(4);
  expect(results()).toMatchObject([{ id: 'b' }, { id: 'a' }]);
});

it('waits for a bus that takes no results, and goes on', async () => {
  const { clock, bus, keeper, append, results } = await openRig();
  const one = await keeper();
  await append(commandRecord('a'), outcomeRecord('a', 'acknowledged'));
  const restore = bus.fail((topic) => topic === topics.commandResults);
  const given = one.give(0, first);
  await eventually(() => bus.calls.filter(({ topic }) => topic === topics.commandResults).length === 1);
  restore();
  await eventually(() => {
    clock.advance(100);
    return results().length === 1;
  });
  await given;
  expect(one.committed).toBe(2);
});

it('has nothing to do with a batch of an assignment that it gave up', async () => {
  const { keeper, append } = await openRig();
  const one = await keeper();
  await append(commandRecord('a'));
  await expect(one.give(0)).rejects.toMatchObject({ code: 'BUS_ASSIGNMENT_LOST' });
  await one.give(1, { closing: true });
  expect(one.committed).toBeNull();
});
