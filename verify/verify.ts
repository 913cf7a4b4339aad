/**
 * The proof: the ground truth of a simulated fleet held against the bus and the store. What must have come out is
 * computed from the truth; the raw topic is read only for devices where that does not agree.
 */
import type { Bus } from '../bus/port.ts';
import type { Clock } from '../core/clock.ts';
import type { LedgerTotals } from '../core/ledger.ts';
import { partitionOf } from '../core/partition.ts';
import type { TopicNames } from '../core/topics.ts';
import type { TruthRun } from '../core/truth.ts';
import type { Rule } from '../processors/rules/file.ts';
import type { Store } from '../store/port.ts';
import { type Surroundings, verifyByLog, verifyByTruth } from './device.ts';
import { readEvidence } from './evidence.ts';
import { Findings } from './findings.ts';
import { PipelineWatch, type WatchOptions } from './pipeline-watch.ts';
import { findInRaw } from './raw-log.ts';
import { minuteOf, minuteUs, type TimeOptions } from './reference.ts';
import type { DeviceTruth, Truth } from './truth-file.ts';

export interface VerifyContext {
  readonly truth: Truth;
  /** Started. */
  readonly bus: Bus;
  readonly store: Store;
  readonly topics: TopicNames;
  readonly options: WatchOptions & TimeOptions;
  readonly rules: readonly Rule[];
  /** The longest to wait for processors and for windows to close. */
  readonly waitMs: number;
  /** Problems listed of each kind; all are counted. */
  readonly maxListed: number;
  readonly clock: Clock;
  readonly progress: (text: string) => void;
}

export interface Outcome {
  readonly run: TruthRun;
  readonly devices: number;
  readonly made: number;
  readonly sent: number;
  readonly acknowledged: number;
  readonly rules: number;
  readonly findings: Findings;
  readonly ledger: LedgerTotals | null;
  /** Devices for which the raw topic was asked. */
  readonly byLog: number;
}

/** Devices whose answers of the store are waited for together. */
const concurrency = 8;

/** Rejects with what the bus or the store rejects with. */
export async function verify(context: VerifyContext): Promise<Outcome> {
  const { truth, bus, store, topics, options, rules, maxListed, progress } = context;
  const findings = new Findings(maxListed);
  const watch = new PipelineWatch(bus, topics, options, context.clock);
  await watch.start();
  try {
    const partition = ({ key }: DeviceTruth) => partitionOf(key, watch.partitionCount);
    const behind = await watch.settle(lastWindowEnds(truth, partition), context.waitMs, progress);
    if (behind > 0) {
      const text = `${behind} records are not processed yet: start a processor, or give it longer with --wait`;
      findings.add({ kind: 'incomplete', text });
    }
    progress('reading dead letters, late readings and alerts');
    const evidence = await readEvidence(bus, topics, truth);
    if (evidence.unreadable > 0) {
      const text = `${evidence.unreadable} records of ${topics.late} and ${topics.alerts} are not what they should be`;
      findings.add({ kind: 'incomplete', text });
    }
    const around: Surroundings = {
      store,
      evidence,
      rules,
      options,
      closedBySilenceUs: (device) => watch.closedBySilenceUs(partition(device)),
      maxListed,
    };
    const doubtful = await eachDevice(truth.devices, async (device) => {
      const found = await verifyByTruth(device, around);
      if (found !== null) findings.merge(found);
      return found === null;
    });
    if (doubtful.length > 0) {
      progress(`asking the raw topic about ${doubtful.length} of ${truth.devices.length} devices`);
      const sightings = await findInRaw(bus, topics.raw, doubtful);
      await eachDevice(doubtful, async (device) => {
        findings.merge(await verifyByLog(device, sightings, around));
        return false;
      });
    }
    for (const { messages } of truth.devices) for (const { faults } of messages) findings.countFaults(faults);
    const { totals, imbalances } = watch.ledger();
    for (const text of imbalances) findings.add({ kind: 'ledger', text });
    if (totals === null) findings.add({ kind: 'ledger', text: 'no processor has told its ledger' });
    const count = (is: (message: DeviceTruth['messages'][number]) => boolean) =>
      truth.devices.reduce((sum, { messages }) => sum + messages.filter(is).length, 0);
    return {
      run: truth.run,
      devices: truth.devices.length,
      made: count(() => true),
      sent: count(({ sentMs }) => sentMs !== null),
      acknowledged: count(({ acknowledgedMs }) => acknowledgedMs !== null),
      rules: rules.length,
      findings,
      ledger: totals,
      byLog: doubtful.length,
    };
  } finally {
    await watch.close();
  }
}

/** Several at a time, so that the store need not wait for us; returns those for which `work` resolves to true. */
async function eachDevice(
  devices: readonly DeviceTruth[],
  work: (device: DeviceTruth) => Promise<boolean>,
): Promise<DeviceTruth[]> {
  const chosen: DeviceTruth[] = [];
  const next = devices.values();
  const worker = async () => {
    for (const device of next) if (await work(device)) chosen.push(device);
  };
  await Promise.all(Array.from({ length: concurrency }, worker));
  return chosen;
}

/** Partition → end of the last window of its devices, ms; where a reading has no time of its own, about when it was sent. */
function lastWindowEnds({ devices }: Truth, partition: (device: DeviceTruth) => number): Map<number, number> {
  const ends = new Map<number, number>();
  for (const device of devices) {
    let lastMs = Number.NEGATIVE_INFINITY;
    for (const { expect, reading, acknowledgedMs, sentMs } of device.messages) {
      const timeMs = reading?.timeMs ?? acknowledgedMs ?? sentMs;
      if (expect.as === 'stored' && timeMs !== null) lastMs = Math.max(lastMs, timeMs);
    }
    if (lastMs === Number.NEGATIVE_INFINITY) continue;
    const endMs = (minuteOf(lastMs * 1000) + minuteUs) / 1000;
    ends.set(partition(device), Math.max(ends.get(partition(device)) ?? 0, endMs));
  }
  return ends;
}
