import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EmbeddedBus } from '../../bus/embedded.ts';
import type { Bus } from '../../bus/port.ts';
import { systemClock } from '../../core/clock.ts';
import { silentLogger } from '../../core/log.ts';
import { type BusHarness, topicSpec } from './bus/harness.ts';
import { busContract } from './bus.ts';

async function embeddedHarness(): Promise<BusHarness> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-bus-'));
  const openBus = async (): Promise<Bus> => {
    const bus = new EmbeddedBus({ file: join(folder, 'bus.db'), clock: systemClock, log: silentLogger });
    await bus.start();
    return bus;
  };
  const admin = await openBus();
  let topics = 0;
  return {
    openBus,
    topic: async (spec) => {
      const name = `contract.${topics++}`;
      await admin.createTopics([topicSpec(name, spec)]);
      return name;
    },
    close: async () => {
      await admin.close();
      await rm(folder, { recursive: true });
    },
  };
}

busContract('embedded', embeddedHarness);
