/** The ledgers that the processors published last, read from the bus as any other consumer would. */
import type { Bus } from '../../bus/port.ts';
import { addLedgers, imbalances, type LedgerTotals } from '../../core/ledger.ts';
import type { PartitionStatus, PipelineStatus } from '../../core/status.ts';
import type { TopicNames } from '../../core/topics.ts';

export interface NewestLedger {
  readonly partitions: ReadonlyMap<number, PartitionStatus>;
  readonly totals: LedgerTotals;
  /** Of every partition and of the sum; empty when all of it balances. */
  readonly imbalances: string[];
}

export async function newestLedger(bus: Bus, topics: TopicNames): Promise<NewestLedger> {
  const partitions = new Map<number, PartitionStatus>();
  const following = await bus.follow(topics.pipelineStatus, 'beginning', (records) => {
    for (const { value } of records) {
      if (value === null) continue;
      const status = JSON.parse(value.toString()) as PipelineStatus;
      if (status.role !== 'processor') continue;
      for (const [partition, own] of Object.entries(status.partitions)) {
        const known = partitions.get(Number(partition));
        if (known === undefined || own.position >= known.position) partitions.set(Number(partition), own);
      }
    }
  });
  await following.close();
  const totals = addLedgers([...partitions.values()].map(({ ledger }) => ledger));
  const found = [...partitions].flatMap(([partition, { ledger }]) =>
    imbalances(ledger).map((text) => `partition ${partition}: ${text}`),
  );
  return { partitions, totals, imbalances: [...found, ...imbalances(totals)] };
}
