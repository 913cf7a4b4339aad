/** Every callback that the broker waits for is called exactly once, whatever becomes of its message. */
import { expect, it } from 'vitest';
import { resolveConfig } from '../../core/config.ts';
import { gatewayImbalances } from '../../core/ledger.ts';
import { silentLogger } from '../../core/log.ts';
import { topicNames, topicSpecs } from '../../core/topics.ts';
import { type Ack, AckQueue } from '../../gateway/ingest/acks.ts';
import { Ingest } from '../../gateway/ingest/ingest.ts';
import type { Publish } from '../../gateway/ingest/records.ts';
import { gatewayOptions } from '../../gateway/options.ts';
import { randomStream } from '../../simulator/random.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { MemoryBus } from '../support/memory-bus.ts';

const topics = topicNames();
const defaults = gatewayOptions(resolveConfig({ env: {}, flags: {}, readText: () => '' }));
const options = { ...defaults, maxHeldMessages: 300, maxBatchRecords: 20, lingerMs: 0 };
const steps = 3000;

/** Calls back once for each message, or the test says how often it was. */
class Callbacks {
  readonly calls: (Error | null)[][] = [];

  next(): (error?: Error | null) => void {
    const calls: (Error | null)[] = [];
    this.calls.push(calls);
    return (error) => void calls.push(error ?? null);
  }

  get withErrors(): number {
    return this.calls.filter(([error]) => error !== null).length;
  }
}

/** Lets promises go on that wait for no clock. */
const settle = () => new Promise((resolve) => setImmediate(resolve));

it.each([1, 2, 3, 4, 5, 6])(
  'of QoS 0, 1 and 2, copies, what is dropped, refused, appended again or given up (seed %i)',
  async (seed) => {
    const random = randomStream(seed, 'callbacks');
    const clock = new ManualClock();
    const bus = new MemoryBus({ lanes: 2, clock });
    await bus.createTopics(
      topicSpecs({ prefix: 'iot.', partitions: 4, rawRetentionMs: null, rawRetentionBytes: null }),
    );
    bus.refuse((topic, { value }) => (topic === topics.raw && String(value) === 'bad' ? 'MESSAGE_TOO_LARGE' : null));
    const context = { bus, topics, instance: 'run1', partitions: 4, spool: null, options, clock, log: silentLogger };
    const ingest = new Ingest(context);
    const queues = Array.from({ length: 10 }, () => new AckQueue());
    const callbacks = new Callbacks();
    const taken: Ack[] = [];
    const isGivenUp = seed % 2 === 1;
    let recover: (() => void) | null = null;

    for (let step = 0; step < steps; step++) {
      if (isGivenUp && step === steps - 200) bus.fail();
      const kind = random();
      const queue = queues[Math.floor(random() * queues.length)]!;
      if (kind < 0.02) recover ??= bus.fail((topic) => topic === topics.raw || topic === topics.dlq);
      else if (kind < 0.04) {
        recover?.();
        recover = null;
      } else if (kind < 0.1) clock.advance(Math.floor(random() * 500));
      else if (kind < 0.2) await settle();
      else if (kind < 0.3 && taken.length > 0) {
        taken[Math.floor(random() * taken.length)]!.repeat(queue, clock.nowMs(), callbacks.next());
      } else {
        const device = Math.floor(random() * 10);
        const publish: Publish = {
          topic: `iot/lab/d${device}/telemetry`,
          payload: Buffer.from(random() < 0.1 ? 'bad' : '{"t":1}'),
          qos: Math.floor(random() * 3) as 0 | 1 | 2,
          retain: false,
        };
        const ack = ingest.take(ingest.placeOf(publish.topic, 'c'), publish, 'c', queue, callbacks.next());
        if (ack !== null) taken.push(ack);
      }
    }

    if (!isGivenUp) recover?.();
    for (let i = 0; i < 200 && !isGivenUp; i++) {
      clock.advance(1000);
      await settle();
    }
    await ingest.close();
    await settle();
    expect(new Set(callbacks.calls.map((calls) => calls.length))).toEqual(new Set([1]));
    expect(gatewayImbalances(ingest.ledger)).toEqual([]);
    if (isGivenUp) expect(callbacks.withErrors).toBeGreaterThan(50);
    else expect({ held: ingest.ledger.held, withErrors: callbacks.withErrors }).toEqual({ held: 0, withErrors: 0 });
  },
);
