/** What a run did, for people and for programs, and whether it did what was asked. */
import { cpus } from 'node:os';
import { type Assertion, type CheckedAssertion, checkAssertions } from '../assert.ts';
import type { Histogram, Quantiles } from '../histogram.ts';
import type { SimulatorOptions } from '../options.ts';
import type { Latencies, SimulatorStats } from '../tally.ts';
import type { QueryableResult } from './queryable.ts';
import type { Second } from './series.ts';

/** Changes with the meaning of a field, or when one goes. */
export const reportVersion = 1;

/** How often each latency occurred: `[milliseconds, count]`, rising; enough to merge runs, or to draw any percentile. */
export type Distribution = readonly (readonly [ms: number, count: number])[];

export interface Report extends SimulatorStats {
  readonly reportVersion: typeof reportVersion;
  readonly version: string;
  readonly run: string;
  readonly scenario: string;
  readonly broker: string;
  readonly qos: 0 | 1 | 2;
  readonly seed: number;
  readonly machine: { readonly node: string; readonly platform: string; readonly cpu: string; readonly cores: number };
  readonly startedAtMs: number;
  /** Of making messages, without the drain. */
  readonly seconds: number;
  readonly sentPerSecond: number;
  /** Were to arrive, and did not as far as is known: unacknowledged (at QoS 0: not sent) and skipped ones. */
  readonly lost: number;
  /** Of this process, so that no one mistakes the generator for the system; `null` when nothing was sent. */
  readonly cpuUsPerMessage: number | null;
  /** Of this process, the most it ever held. */
  readonly peakMemoryMb: number;
  /** `null` when no pipeline was asked. */
  readonly queryable: QueryableResult | null;
  readonly distributions: Readonly<Record<'connectMs' | 'sendLagMs' | 'ackMs' | 'queryableMs', Distribution>>;
  /** Of a long run, one second of each few. */
  readonly series: readonly Second[];
  readonly assertions: readonly CheckedAssertion[];
  /**
   * Why the run has failed, in words. With assertions, those that do not hold; else empty when all that was made was
   * sent, and acknowledged above QoS 0.
   */
  readonly problems: readonly string[];
}

export interface ReportInput {
  readonly options: Pick<SimulatorOptions, 'scenario' | 'broker' | 'qos' | 'seed'>;
  readonly stats: SimulatorStats;
  readonly latencies: Latencies;
  readonly series: readonly Second[];
  readonly queryable: { readonly result: QueryableResult; readonly queryableMs: Histogram } | null;
  readonly assertions: readonly Assertion[];
  readonly effort: Effort;
  readonly startedAtMs: number;
  readonly version: string;
  readonly run: string;
}

export interface Effort {
  readonly seconds: number;
  readonly cpuUs: number;
  readonly peakMemoryMb: number;
}

export function reportOf(input: ReportInput): Report {
  const { options, stats, latencies, series, queryable, effort, startedAtMs, version, run } = input;
  const { scenario, broker, qos, seed } = options;
  const messages = stats.sent + stats.resent;
  const report: Report = {
    reportVersion,
    version,
    run,
    scenario,
    broker,
    qos,
    seed,
    machine: machine(),
    startedAtMs,
    seconds: Math.round(effort.seconds * 1000) / 1000,
    sentPerSecond: effort.seconds === 0 ? 0 : Math.round(stats.sent / effort.seconds),
    cpuUsPerMessage: messages === 0 ? null : Math.round((effort.cpuUs / messages) * 10) / 10,
    peakMemoryMb: effort.peakMemoryMb,
    ...stats,
    lost: stats.unacknowledged + stats.skipped,
    queryable: queryable?.result ?? null,
    distributions: {
      connectMs: latencies.connectMs.slots(),
      sendLagMs: latencies.sendLagMs.slots(),
      ackMs: latencies.ackMs.slots(),
      queryableMs: queryable?.queryableMs.slots() ?? [],
    },
    series,
    assertions: [],
    problems: [],
  };
  const assertions = checkAssertions(input.assertions, report);
  const problems = assertions.length === 0 ? problemsOf(stats) : assertions.flatMap(failureOf);
  return { ...report, assertions, problems };
}

/** The four latencies of a run, by the names they have in texts and assertions. */
export function latenciesOf(report: Report): Readonly<Record<LatencyName, Quantiles | null>> {
  const { connectMs, sendLagMs, ackMs, queryable } = report;
  return { connect: connectMs, lag: sendLagMs, puback: ackMs, queryable: queryable?.latencyMs ?? null };
}

export type LatencyName = keyof typeof latencyMeanings;

export const latencyMeanings = {
  connect: 'from when a connection was to be opened to CONNACK',
  lag: 'from when a message was to be sent to when it was: what the generator, its bounds and lost connections add',
  puback: 'from when a message was to be sent to its PUBACK, or PUBCOMP at QoS 2',
  queryable:
    'from when a message was to be sent to the first answer of /api/history that holds it; a sample, after its PUBACK',
} as const;

function machine(): Report['machine'] {
  const all = cpus();
  return {
    node: process.version,
    platform: `${process.platform} ${process.arch}`,
    cpu: all[0]?.model ?? 'unknown',
    cores: all.length,
  };
}

function failureOf({ text, actual, holds }: CheckedAssertion): string[] {
  return holds ? [] : [`the assertion ${text}: ${actual === null ? 'nothing was measured' : `it is ${actual}`}`];
}

function problemsOf(stats: SimulatorStats): string[] {
  const { devices, everConnected, unacknowledged, skipped, lastError } = stats;
  const why = lastError === null ? '' : ` (last error: ${lastError})`;
  const problems: [number, string][] = [
    [devices - everConnected, `of ${devices} devices could not connect${why}`],
    [unacknowledged, `messages were not sent, or not acknowledged${why}`],
    [skipped, 'messages were skipped: devices held as many others as they may'],
  ];
  return problems.flatMap(([count, text]) => (count === 0 ? [] : [`${count} ${text}`]));
}
