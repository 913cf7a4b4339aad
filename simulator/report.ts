/** What a run did, for people and for programs, and whether it did what was asked. */
import type { SimulatorOptions } from './options.ts';
import type { SimulatorStats } from './tally.ts';

export interface Report extends SimulatorStats {
  readonly version: string;
  readonly broker: string;
  readonly qos: 0 | 1 | 2;
  readonly seed: number;
  /** Of making messages, without the drain. */
  readonly seconds: number;
  readonly sentPerSecond: number;
  /** Of this process, so that no one mistakes the generator for the system; `null` when nothing was sent. */
  readonly cpuUsPerMessage: number | null;
  /** Why the run has failed, in words; empty when all that was made was sent, and acknowledged above QoS 0. */
  readonly problems: readonly string[];
}

export interface Effort {
  readonly seconds: number;
  readonly cpuUs: number;
}

export function reportOf(options: SimulatorOptions, stats: SimulatorStats, effort: Effort, version: string): Report {
  const { broker, qos, seed } = options;
  const messages = stats.sent + stats.resent;
  return {
    version,
    broker,
    qos,
    seed,
    seconds: Math.round(effort.seconds * 1000) / 1000,
    sentPerSecond: effort.seconds === 0 ? 0 : Math.round(stats.sent / effort.seconds),
    cpuUsPerMessage: messages === 0 ? null : Math.round((effort.cpuUs / messages) * 10) / 10,
    ...stats,
    problems: problemsOf(stats),
  };
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

export function reportText(report: Report): string {
  const { ackMs, cpuUsPerMessage } = report;
  const rows: [string, string][] = [
    ['broker', `${report.broker}, QoS ${report.qos}, seed ${report.seed}`],
    ['devices', `${report.everConnected} of ${report.devices} connected, ${report.reconnects} reconnects`],
    [
      'sent',
      `${report.sent} in ${report.seconds.toFixed(1)} s, ${report.sentPerSecond}/s; ${report.resent} sent again`,
    ],
    ...(report.qos === 0 ? [] : [['acknowledged', String(report.acknowledged)] as [string, string]]),
    [report.qos === 0 ? 'not sent' : 'unacknowledged', String(report.unacknowledged)],
    ['skipped', String(report.skipped)],
    ['errors', report.lastError === null ? '0' : `${report.errors}; the last one: ${report.lastError}`],
    ['latency', ackMs === null ? '-' : `p50 ${ackMs.p50} ms, p99 ${ackMs.p99} ms, max ${ackMs.max} ms`],
    ['CPU', cpuUsPerMessage === null ? '-' : `${cpuUsPerMessage} µs per message, of this generator`],
  ];
  const lines = rows.map(([name, value]) => `${name.padEnd(16)}${value}`);
  return [...lines, ...report.problems.map((problem) => `FAILED          ${problem}`)].join('\n');
}

/** One line while it runs; `before` is the state a second ago. */
export function progressLine(seconds: number, stats: SimulatorStats, before: SimulatorStats): string {
  const { ackMs } = stats;
  return [
    `t=${seconds}s`,
    `connected ${stats.connected}/${stats.devices}`,
    `sent ${stats.sent} (${stats.sent - before.sent}/s)`,
    `acknowledged ${stats.acknowledged}`,
    `outstanding ${stats.unacknowledged}`,
    `skipped ${stats.skipped}`,
    `errors ${stats.errors}`,
    ...(ackMs === null ? [] : [`p50 ${ackMs.p50} ms`, `p99 ${ackMs.p99} ms`]),
  ].join('  ');
}
