/** How long `verify` waits: for processors as long as they are behind, for windows as long as a gateway lives to pass time. */
import { setImmediate } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { resolveConfig } from '../../core/config.ts';
import type { GatewayStatus, ProcessorStatus } from '../../core/status.ts';
import { PipelineWatch } from '../../verify/pipeline-watch.ts';
import { openGateway } from '../gateway/harness.ts';
import { drained, openRig, topics } from '../processors/rig.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { Fleet, startMs } from './fleet.ts';

const { processing } = resolveConfig({ env: {}, flags: {}, readText: () => '' });
const minuteMs = 60_000;

/** A gateway and a processor that say every second how they are, by a clock that the test moves. */
async function openPipeline({ tellsOfGateway = true } = {}) {
  const clock = new ManualClock(startMs);
  const { gateway, bus } = await openGateway({ tickAfterMs: 2000 }, { partitions: 1, clock });
  const rig = await openRig([]);
  onTestFinished(() => rig.close());
  const processor = rig.processor({}, { bus });
  await processor.start();
  const fleet = new Fleet();
  fleet.reading('s1', 20_000, 21);
  clock.advance(21_000);
  await bus.append(topics.raw, fleet.records);
  const tell = (key: string, status: GatewayStatus | ProcessorStatus) => {
    const value = Buffer.from(JSON.stringify({ ...status, atMs: clock.nowMs() }));
    return bus.append(topics.pipelineStatus, [{ key, value, headers: {}, timestampMs: clock.nowMs() }]);
  };
  const pass = async (ms: number) => {
    for (let passedMs = 0; passedMs < ms; passedMs += 1000) {
      clock.advance(1000);
      for (let turn = 0; turn < 20; turn++) await setImmediate();
      await drained(processor, bus.records(topics.raw).length);
      if (tellsOfGateway) await tell('gateway/1', gateway.status());
      await tell('processor/1', processor.status());
    }
  };
  await pass(1000);
  const watch = new PipelineWatch(bus, topics, { ...processing, group: 'test' }, clock);
  await watch.start();
  onTestFinished(() => watch.close());
  const settling = { behind: null as number | null, said: [] as string[] };
  const settle = (waitMs: number) => {
    const ends = new Map([[0, startMs + minuteMs]]);
    void watch
      .settle(ends, waitMs, (text) => settling.said.push(text))
      .then((behind) => {
        settling.behind = behind;
      });
  };
  return { clock, watch, pass, settle, settling };
}

test('with a live gateway it waits until silence has closed the last windows', async () => {
  const { watch, pass, settle, settling } = await openPipeline();
  settle(3 * minuteMs);
  await pass(30_000);
  expect(settling.behind).toBeNull();
  expect(settling.said.at(-1)).toMatch(/^waiting for 1 partitions to close their last windows, \d+ s left$/);
  expect(watch.closedBySilenceUs(0)).toBeLessThan((startMs + minuteMs) * 1000);
  await pass(minuteMs);
  expect(settling.behind).toBe(0);
  expect(watch.closedBySilenceUs(0)).toBeGreaterThanOrEqual((startMs + minuteMs) * 1000);
  expect(watch.ledger()).toMatchObject({ imbalances: [], totals: { messages: 1, stored: 1 } });
});

test('it gives up after the longest time to wait', async () => {
  const { watch, pass, settle, settling } = await openPipeline();
  settle(10_000);
  await pass(12_000);
  expect(settling.behind).toBe(0);
  expect(watch.closedBySilenceUs(0)).toBeLessThan((startMs + minuteMs) * 1000);
});

test('without a gateway no time passes, and there is nothing to wait for', async () => {
  const { clock, pass, settle, settling } = await openPipeline({ tellsOfGateway: false });
  settle(3 * minuteMs);
  const beganMs = clock.nowMs();
  await pass(1000);
  expect([settling.behind, clock.nowMs() - beganMs]).toEqual([0, 1000]);
});
