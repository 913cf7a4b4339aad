/** A crash after any step of the commit order, and what the next owner of the partition makes of it (P2, P3). */
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { imbalances, type PartitionLedger } from '../../core/ledger.ts';
import { parseRules } from '../../processors/rules/file.ts';
import { CrashPoint, type CrashStep, crashingBus, crashingStore } from '../support/crash.ts';
import { startMs, unrulyFleet } from './records.ts';
import { type Contents, drained, openRig, topics } from './rig.ts';

const rules = parseRules(
  `
- { name: hot, severity: critical, field: temperature, when: { above: 30, clear: 27 } }
- { name: warm, severity: warning, field: temperature, when: { above: 25 }, for: 3s }
`,
  'rules.yaml',
);
const records = unrulyFleet(11, 1200);
const devices = ['s0', 's1', 's2', 's3', 's4', 's5'];
const options = { snapshotEveryRecords: 200, maxBatchRecords: 60, sessionTimeoutMs: 3000 };
const range = [startMs - 86_400_000, startMs + 86_400_000] as const;

let whole: Contents;
let wholeLedger: PartitionLedger;

beforeAll(async () => {
  const rig = await openRig(rules);
  await rig.append(records);
  const processor = rig.processor(options);
  await processor.start();
  wholeLedger = await drained(processor, records.length);
  await processor.close(5000);
  whole = await rig.contents(devices, ...range);
  await rig.close();
});

const calls: [call: string, nth: number][] = [
  ['write', 1],
  ['write', 8],
  [`append ${topics.alerts}`, 3],
  [`append ${topics.alertsState}`, 3],
  [`append ${topics.late}`, 2],
  [`append ${topics.dlq}`, 4],
  [`append ${topics.processorState}`, 1],
  [`append ${topics.processorState}`, 4],
  ['commit', 1],
  ['commit', 3],
];
const steps: CrashStep[] = calls.flatMap(([call, nth]) => [
  { call, when: 'before', nth },
  { call, when: 'after', nth },
]);

describe('after a crash the next owner ends with the same store, the same alerts and the same ledger', () => {
  test.each(steps)('$when $call, time $nth', async (step) => {
    const rig = await openRig(rules);
    onTestFinished(() => rig.close());
    await rig.append(records);
    const point = new CrashPoint(step);
    const ports = { bus: crashingBus(rig.bus, point), store: crashingStore(rig.store, point) };
    const crashed = rig.processor(options, ports);
    await crashed.start();
    await point.happened;
    await expect(crashed.failed).rejects.toThrow('crashed on purpose');
    await crashed.close(5000);

    const next = rig.processor(options);
    await next.start();
    const ledger = await drained(next, records.length);
    await next.close(5000);
    expect(imbalances(ledger)).toEqual([]);
    expect(ledger).toEqual(wholeLedger);
    expect(await rig.contents(devices, ...range)).toEqual(whole);
  });
});
