/** A fleet's records through a real processor on a real embedded bus and store, and what `verify` says of them. */
import { onTestFinished } from 'vitest';
import type { BusRecord, NewRecord } from '../../bus/port.ts';
import { systemClock } from '../../core/clock.ts';
import { resolveConfig } from '../../core/config.ts';
import type { ProcessorStatus } from '../../core/status.ts';
import type { ProcessorOptions } from '../../processors/options.ts';
import { parseRules } from '../../processors/rules/file.ts';
import type { Point } from '../../store/port.ts';
import { reportOf, type VerifyReport } from '../../verify/report.ts';
import type { Truth } from '../../verify/truth-file.ts';
import { verify } from '../../verify/verify.ts';
import { drained, openRig, type Rig, topics } from '../processors/rig.ts';
import { withMethods } from '../support/with-methods.ts';

const { processing } = resolveConfig({ env: {}, flags: {}, readText: () => '' });

export const rulesText = `- { name: hot, severity: critical, field: temperature, when: { above: 30, clear: 25 }, for: 30s, devices: { device: s1 } }
- { name: cold, severity: info, field: temperature, when: { below: 5 }, devices: { device: s3 } }
- { name: low, severity: info, field: temperature, when: { below: 5 }, devices: { device: s2 } }`;
export const rules = parseRules(rulesText, 'rules.yaml');

/** What was sent: what the gateway made of it, and what is known of it. */
export interface Sent {
  readonly records: readonly BusRecord[];
  truth(): Promise<Truth>;
}

/** What a break changes on the way. */
export interface Breaks {
  /** What the processor's writes become. */
  readonly write?: (points: readonly Point[]) => readonly Point[];
  /** What it is told to do, other than what is in force. */
  readonly options?: Partial<ProcessorOptions>;
  /** What its appends become. */
  readonly append?: (topic: string, records: readonly NewRecord[]) => readonly NewRecord[];
  /** What it says of itself. */
  readonly status?: (status: ProcessorStatus) => ProcessorStatus;
  /** Done to bus and store when all is processed. */
  readonly afterwards?: (rig: Rig) => Promise<unknown>;
}

export async function process(sent: Sent, breaks: Breaks = {}, ruleList = rules): Promise<Rig> {
  const rig = await openRig(ruleList);
  onTestFinished(() => rig.close());
  await rig.append(sent.records);
  const { write = (points) => points, append = (_, list) => list } = breaks;
  const store = withMethods(rig.store, { write: (points) => rig.store.write(write(points)) });
  const bus = withMethods(rig.bus, { append: (topic, list) => rig.bus.append(topic, append(topic, list)) });
  const processor = rig.processor(breaks.options, { bus, store });
  await processor.start();
  await drained(processor, sent.records.length);
  await tell(rig, breaks.status?.(processor.status()) ?? processor.status());
  await breaks.afterwards?.(rig);
  return rig;
}

/** A status of a processor on the bus, as its process would say it. */
export function tell({ bus }: Pick<Rig, 'bus'>, status: ProcessorStatus): Promise<void> {
  const value = Buffer.from(JSON.stringify(status));
  return bus.append(topics.pipelineStatus, [{ key: 'processor/1', value, headers: {}, timestampMs: status.atMs }]);
}

export async function verified(rig: Rig, sent: Sent, ruleList = rules): Promise<VerifyReport> {
  const outcome = await verify({
    truth: await sent.truth(),
    bus: rig.bus,
    store: rig.store,
    topics,
    options: { ...processing, group: 'test' },
    rules: ruleList,
    waitMs: 0,
    maxListed: 20,
    clock: systemClock,
    progress: () => {},
  });
  return reportOf(outcome);
}

/** Only what was found, for the message of a failing test too. */
export function found({ broken, problemCounts, problems }: VerifyReport) {
  const counts = Object.fromEntries(Object.entries(problemCounts).filter(([, count]) => count > 0));
  return { broken, counts, problems: problems.slice(0, 3) };
}
