import { randomBytes } from 'node:crypto';
import { describe, inject } from 'vitest';
import { KafkaBus } from '../../bus/kafka.ts';
import type { Bus } from '../../bus/port.ts';
import { systemClock } from '../../core/clock.ts';
import { silentLogger } from '../../core/log.ts';
import { type BusHarness, topicSpec } from './bus/harness.ts';
import { busContract } from './bus.ts';

const brokers = inject('kafkaBrokers');

async function kafkaHarness(): Promise<BusHarness> {
  const openBus = async (): Promise<Bus> => {
    const bus = new KafkaBus({
      brokers: brokers!.split(','),
      clientId: 'contract',
      ssl: false,
      sasl: null,
      lanes: 2,
      replicationFactor: null,
      startTimeoutMs: 30_000,
      clock: systemClock,
      log: silentLogger,
    });
    await bus.start();
    return bus;
  };
  const admin = await openBus();
  const run = randomBytes(4).toString('hex');
  let topics = 0;
  return {
    openBus,
    topic: async (spec) => {
      const name = `contract.${run}.${topics++}`;
      await admin.createTopics([topicSpec(name, spec)]);
      return name;
    },
    close: () => admin.close(),
  };
}

describe.skipIf(brokers === null)('with a broker', () => {
  busContract('kafka', kafkaHarness);
});
