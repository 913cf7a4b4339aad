/**
 * The way over the spool, cut before and after each of its calls, once, while three devices publish through a stall of
 * the bus and beyond; the next run opens the same file. What was acknowledged counts once, and in order.
 */
import { expect, onTestFinished, test } from 'vitest';
import { systemClock } from '../../core/clock.ts';
import { resolveConfig } from '../../core/config.ts';
import { silentLogger } from '../../core/log.ts';
import { topicSpecs } from '../../core/topics.ts';
import { Gateway } from '../../gateway/gateway.ts';
import { gatewayOptions } from '../../gateway/options.ts';
import type { SpoolSettings } from '../../gateway/spool/spool.ts';
import { Topology } from '../../processors/topology.ts';
import { CrashPoint, type CrashStep, crashingBus, crashingDisk } from '../support/crash.ts';
import { eventually } from '../support/eventually.ts';
import { MemoryBus } from '../support/memory-bus.ts';
import { sendInOrder } from '../support/send-in-order.ts';
import { raw, topics } from './harness.ts';
import { spoolFile } from './spool-fixture.ts';

const devices = ['d1', 'd2', 'd3'];
/** Of each device: acknowledged before the bus is back, and in all. */
const whileStalled = 10;
const inAll = 40;
const config = resolveConfig({ env: {}, flags: {}, readText: () => '' });

const steps = (call: string, ...nths: number[]): CrashStep[] =>
  nths.flatMap((nth) => (['before', 'after'] as const).map((when) => ({ call, when, nth })));

test.each([
  ...steps('spool', 1, 8),
  // The one that is held, then those that drain.
  ...steps(`append ${topics.raw}`, 1, 2, 3),
  // Opening reads each partition once.
  ...steps('read', 5),
  ...steps('trim', 1, 3),
])('a crash $when $call $nth', { timeout: 30_000 }, async (step) => {
  const point = new CrashPoint(step);
  const bus = new MemoryBus();
  await bus.createTopics(topicSpecs({ prefix: 'iot.', partitions: 4, rawRetentionMs: null, rawRetentionBytes: null }));
  const file = await spoolFile();
  const hold = bus.hold(raw);
  let gateway = await start(crashingBus(bus, point), 'run1', file({ between: (disk) => crashingDisk(disk, point) }));

  const acknowledged = devices.map((): number[] => []);
  const firstMs = Date.now() - 3_600_000;
  const fleet = devices.map((device, d) =>
    sendInOrder({
      port: () => gateway.address().port,
      next: (seq) => {
        const payload = JSON.stringify({ ts: firstMs + seq * 100, seq, t: seq });
        return seq === inAll ? null : { topic: `iot/lab/${device}/telemetry`, payload };
      },
      onAcknowledged: (seq) => acknowledged[d]!.push(seq),
    }),
  );
  const bringBack = eventually(() => acknowledged.every(({ length }) => length >= whileStalled)).then(hold.release);
  await point.happened;
  const dead = gateway;
  gateway = await start(bus, 'run2', file());
  await dead.close(50).catch(() => {});
  await Promise.all([...fleet, bringBack]);
  await eventually(() => gateway.status().spool?.records === 0, { what: 'the spool is drained' });

  const seen = new Map(devices.map((device): [string, Set<number>] => [`lab/${device}`, new Set()]));
  let accepted = 0;
  for (const records of Map.groupBy(bus.records(topics.raw), ({ partition }) => partition).values()) {
    const topology = new Topology(config.processing, [], 0);
    for (const record of records) {
      topology.process(record);
      if (record.value !== null) seen.get(record.key)?.add(JSON.parse(String(record.value)).seq);
    }
    accepted += topology.ledger.accepted;
  }
  const all = Array.from({ length: inAll }, (_, seq) => seq);
  for (const [key, seqs] of seen) expect([...seqs], `${key} in the order of the first copies`).toEqual(all);
  expect(accepted, 'each counted once').toBe(devices.length * inAll);
});

async function start(bus: MemoryBus | ReturnType<typeof crashingBus>, instance: string, spool: SpoolSettings) {
  const options = { ...gatewayOptions(config), port: 0, lingerMs: 1, tickAfterMs: 50 };
  const common = { topics, version: 'test', clock: systemClock, log: silentLogger };
  const gateway = new Gateway({ ...common, bus, options, instance, spool });
  await gateway.start();
  onTestFinished(() => gateway.close(500).catch(() => {}));
  return gateway;
}
