/**
 * Assignments as Kafka gives them, batch by batch: every rebalance rewinds a partition to its commit, also one that was
 * kept, and a member that was away finds the commits of others.
 */
import { expect, onTestFinished, test } from 'vitest';
import type { Batch, BatchHandler, BusRecord, Committed } from '../../bus/port.ts';
import type { PartitionLedger } from '../../core/ledger.ts';
import { parseRules, type Rule } from '../../processors/rules/file.ts';
import type { Processor } from '../../processors/runner.ts';
import { withMethods } from '../support/with-methods.ts';
import { rawRecord, startMs, unrulyFleet } from './records.ts';
import { openRig, type Rig, readAll, topics } from './rig.ts';

const records = unrulyFleet(31, 600);

interface Member {
  readonly processor: Processor;
  /** Gives a batch; returns what the handler asked for. */
  give(from: number, to: number, over?: Partial<Batch>): Promise<{ seek: number | null; commit: Committed | null }>;
  ledger(): PartitionLedger | undefined;
}

async function rigWith(rules: readonly Rule[] = []): Promise<Rig> {
  const rig = await openRig(rules);
  onTestFinished(() => rig.close());
  return rig;
}

/** A processor whose batches the test makes itself. */
async function member(rig: Rig, log: readonly BusRecord[] = records, snapshotEveryRecords = 100): Promise<Member> {
  let handler: BatchHandler = async () => {};
  const bus = withMethods(rig.bus, {
    consume: async (_topic, _group, given) => {
      handler = given;
      return { assigned: () => [0], failed: new Promise<void>(() => {}), close: async () => {} };
    },
  });
  const processor = rig.processor({ snapshotEveryRecords }, { bus });
  await processor.start();
  return {
    processor,
    ledger: () => processor.status().partitions['0']?.ledger,
    give: async (from, to, over = {}) => {
      const asked: { seek: number | null; commit: Committed | null } = { seek: null, commit: null };
      await handler({
        topic: topics.raw,
        partition: 0,
        assignment: null,
        records: log.slice(from, to),
        endOffset: log.length,
        closing: false,
        heartbeat: async () => {},
        lastHeartbeatAtMs: () => Date.now(),
        commit: async (offset, metadata) => {
          asked.commit = { offset, metadata };
        },
        seek: (offset) => {
          asked.seek = offset;
        },
        ...over,
      });
      return asked;
    },
  };
}

const first = { assignment: { committed: null } };

test('a partition that was kept goes on from memory: what is given again is not counted again', async () => {
  const rig = await rigWith();
  const one = await member(rig);
  const { commit } = await one.give(0, 150, first);
  expect(commit?.offset).toBe(150);
  await one.give(150, 220);
  const before = one.ledger();
  // The rebalance rewinds to the commit.
  const again = await one.give(150, 220, { assignment: { committed: commit } });
  expect(again).toEqual({ seek: null, commit: null });
  expect(one.ledger()).toEqual(before);
  await one.give(220, 260);

  const other = await member(await rigWith());
  await other.give(0, 260, first);
  expect(one.ledger()).toEqual(other.ledger());
});

test('a partition that another had in between is restored from that one’s commit, and the bus is told where to go on', async () => {
  const rig = await rigWith();
  const one = await member(rig);
  const { commit: early } = await one.give(0, 150, first);
  const two = await member(rig);
  const { commit: late } = await two.give(150, 300, { assignment: { committed: early } });
  expect(late?.offset).toBe(300);

  expect(await one.give(150, 200, { assignment: { committed: late } })).toMatchObject({ commit: null });
  expect(one.ledger()).toEqual(two.ledger());
  await one.give(300, 350);
  expect(one.ledger()?.nextOffset).toBe(350);
});

test('a member that gave its partition up does not go on with a batch of the old assignment', async () => {
  const one = await member(await rigWith());
  const lost = Object.assign(new Error('lost'), { code: 'BUS_ASSIGNMENT_LOST' });
  await expect(one.give(0, 50, { ...first, heartbeat: () => Promise.reject(lost) })).rejects.toBe(lost);
  expect(one.ledger()).toBeUndefined();
  await expect(one.give(50, 90)).rejects.toMatchObject({ code: 'BUS_ASSIGNMENT_LOST' });
});

test('records that the retention deleted before we came are told and leave a ledger that balances', async () => {
  const one = await member(await rigWith());
  const { commit } = await one.give(0, 150, first);
  const two = await member(await rigWith());
  await two.give(0, 150, first);
  await two.give(200, 260, { assignment: null });
  const { firstOffset, nextOffset, messages, ticks, redelivered } = two.ledger()!;
  expect([firstOffset, nextOffset]).toEqual([50, 260]);
  expect(messages + ticks + redelivered).toBe(210);
  expect(commit?.offset).toBe(150);
});

test('an open alert whose rule was removed ends with the next second of the clock, once', async () => {
  const text = '- { name: hot, severity: info, field: t, when: { above: 30 } }';
  const log = [
    rawRecord({ payload: { ts: startMs, t: 31 }, atMs: 0 }, 0),
    rawRecord(500, 1),
    rawRecord(1500, 2),
    rawRecord(3500, 3),
  ];
  const rig = await rigWith(parseRules(text, 'rules.yaml'));
  const { commit } = await (await member(rig, log, 1)).give(0, 1, first);
  const without = await member({ ...rig, processor: (over, ports) => rig.processor(over, ports, []) }, log, 1);
  await without.give(1, 4, { assignment: { committed: commit } });
  const alerts = (await readAll(rig.bus, topics.alerts)).map(({ value }) => JSON.parse(value!.toString()));
  expect(alerts.map(({ seq, status, reason, endsAt }) => [seq, status, reason, endsAt])).toEqual([
    [1, 'firing', 'threshold', null],
    [2, 'resolved', 'rule_removed', new Date(startMs + 1500).toISOString()],
  ]);
  expect((await readAll(rig.bus, topics.alertsState)).at(-1)?.value).toBeNull();
});
