import { expect, test } from 'vitest';
import { silentLogger } from '../../core/log.ts';
import { topicSpecs } from '../../core/topics.ts';
import { StatusReporter } from '../../web/status-reporter.ts';
import { eventually } from '../support/eventually.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { MemoryBus } from '../support/memory-bus.ts';
import { gatewayStatus, processorStatus, topics } from './harness.ts';

async function openReporter() {
  const clock = new ManualClock();
  const bus = new MemoryBus({ clock });
  await bus.createTopics(topicSpecs({ prefix: 'iot.', partitions: 2, rawRetentionMs: null, rawRetentionBytes: null }));
  let received = 0;
  const status = () => [
    gatewayStatus('run', clock.nowMs(), { received, appended: received }),
    processorStatus('run', clock.nowMs(), { 0: received }),
  ];
  const reporter = new StatusReporter({ bus, topics, status, clock, log: silentLogger });
  return {
    clock,
    bus,
    reporter,
    receive: () => {
      received++;
    },
    told: () =>
      bus
        .records(topics.pipelineStatus)
        .filter(({ key }) => key === 'gateway/run')
        .map(({ value }) => (JSON.parse(value!.toString()) as { ledger: { received: number } }).ledger.received),
  };
}

test('tells at once and each second, by role and run', async () => {
  const { clock, bus, reporter, receive, told } = await openReporter();
  await reporter.start();
  await reporter.start();
  await eventually(() => told().length === 1);
  expect(bus.records(topics.pipelineStatus)).toMatchObject([
    { key: 'gateway/run', timestampMs: clock.nowMs() },
    { key: 'processor/run', timestampMs: clock.nowMs() },
  ]);
  receive();
  clock.advance(1000);
  await eventually(() => told().length === 2);
  expect(told()).toEqual([0, 1]);
  await reporter.close();
});

test('its last words are the counters at the close, once', async () => {
  const { clock, reporter, receive, told } = await openReporter();
  await reporter.start();
  await eventually(() => told().length === 1);
  receive();
  await reporter.close();
  await reporter.close();
  clock.advance(5000);
  expect(told()).toEqual([0, 1]);
});

test('a slow bus gets fewer reports, not a queue of them', async () => {
  const { clock, bus, reporter, receive, told } = await openReporter();
  const hold = bus.hold();
  await reporter.start();
  receive();
  clock.advance(10_000);
  expect(hold.waiting).toHaveLength(1);
  hold.release();
  await eventually(() => told().length === 1);
  clock.advance(1000);
  await eventually(() => told().length === 2);
  expect(told()).toEqual([0, 1]);
  await reporter.close();
});

test('what the bus does not take is said again the second after, and never delays the close for long', async () => {
  const { clock, bus, reporter, told } = await openReporter();
  const works = bus.fail();
  await reporter.start();
  await eventually(() => bus.calls.length === 1);
  works();
  await eventually(() => {
    clock.advance(1000);
    return told().length > 0;
  });
  bus.hold();
  let isClosed = false;
  const closed = reporter.close().then(() => {
    isClosed = true;
  });
  clock.advance(1999);
  await eventually(() => bus.calls.length > 2);
  expect(isClosed).toBe(false);
  await eventually(() => {
    clock.advance(1);
    return isClosed;
  });
  await closed;
});

test('a reporter that never started says nothing', async () => {
  const { clock, bus, reporter } = await openReporter();
  await reporter.close();
  await reporter.start();
  clock.advance(3000);
  expect(bus.calls).toEqual([]);
});
