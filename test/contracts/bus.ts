/**
 * The contract of the bus port, held against every adapter. A contract test knows nothing of the adapter: it waits with
 * deadlines that fit the slowest one (Kafka needs seconds to form a group) and never looks behind the port.
 */
import { afterAll, beforeAll, describe } from 'vitest';
import { appendContract } from './bus/append.ts';
import { consumeContract } from './bus/consume.ts';
import { groupContract } from './bus/group.ts';
import { type BusHarness, Members } from './bus/harness.ts';
import { readingBackContract } from './bus/reading-back.ts';
import { topicContract } from './bus/topics.ts';

export type { BusHarness } from './bus/harness.ts';

export function busContract(name: string, make: () => Promise<BusHarness>): void {
  describe(`bus contract: ${name}`, () => {
    let harness: BusHarness | undefined;
    const members = new Members(() => {
      if (harness === undefined) throw new Error('the harness is not made yet');
      return harness;
    });

    beforeAll(async () => {
      harness = await make();
    });
    afterAll(async () => {
      await harness?.close();
    });

    topicContract(members);
    appendContract(members);
    consumeContract(members);
    groupContract(members);
    readingBackContract(members);
  });
}
