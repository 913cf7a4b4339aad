/** The report for people at a terminal. */
import type { Quantiles } from '../histogram.ts';
import { latenciesOf, type Report } from './report.ts';

export function reportText(report: Report): string {
  const lines = rowsOf(report).map(([name, value]) => `${name.padEnd(16)}${value}`);
  const checked = report.assertions.filter(({ holds }) => holds).map(({ text }) => `passed          ${text}`);
  return [...lines, ...checked, ...report.problems.map((problem) => `FAILED          ${problem}`)].join('\n');
}

/** Name and value of each fact worth a line. */
export function rowsOf(report: Report): readonly (readonly [name: string, value: string])[] {
  const { qos, cpuUsPerMessage, queryable, machine } = report;
  const latencies = latenciesOf(report);
  return [
    ['broker', `${report.broker}, QoS ${qos}`],
    ['run', `${report.run}, scenario ${report.scenario}, seed ${report.seed}`],
    ['devices', `${report.everConnected} of ${report.devices} connected, ${report.reconnects} reconnects`],
    [
      'sent',
      `${report.sent} in ${report.seconds.toFixed(1)} s, ${report.sentPerSecond}/s; ${report.resent} sent again`,
    ],
    ...(qos === 0 ? [] : [['acknowledged', String(report.acknowledged)] as const]),
    [qos === 0 ? 'not sent' : 'unacknowledged', String(report.unacknowledged)],
    ['skipped', String(report.skipped)],
    ...faultRows(report),
    ['errors', errorsText(report)],
    ['connect', latencyText(latencies.connect)],
    ['lag', latencyText(latencies.lag)],
    ...(qos === 0 ? [] : [[qos === 1 ? 'PUBACK' : 'PUBCOMP', latencyText(latencies.puback)] as const]),
    ...(queryable === null
      ? []
      : [['queryable', `${latencyText(latencies.queryable)}; ${sampleText(queryable)}`] as const]),
    ['CPU', cpuUsPerMessage === null ? '-' : `${cpuUsPerMessage} µs per message, of this generator`],
    ['memory', `${report.peakMemoryMb} MB at most, of this generator`],
    ['sluice', `${report.version}, Node ${machine.node}, ${machine.platform}, ${machine.cores} × ${machine.cpu}`],
  ];
}

export function latencyText(quantiles: Quantiles | null): string {
  if (quantiles === null) return '-';
  const { p50, p90, p99, p999, max } = quantiles;
  return `p50 ${p50} ms, p90 ${p90} ms, p99 ${p99} ms, p99.9 ${p999} ms, max ${max} ms`;
}

function faultRows({ faults, copies, lostOnPurpose, refused }: Report): (readonly [string, string])[] {
  const hit = Object.entries(faults).map(([name, count]) => `${name} ${count}`);
  if (hit.length === 0) return [];
  return [
    ['faults', hit.join(', ')],
    ['on purpose', `${copies} doubled, ${lostOnPurpose} lost, ${refused} given up as refused`],
  ];
}

function errorsText({ errors, errorsByReason }: Report): string {
  const reasons = Object.entries(errorsByReason).map(([reason, count]) => `${count} ${reason}`);
  return errors === 0 ? '0' : `${errors}: ${reasons.slice(0, 5).join('; ')}${reasons.length > 5 ? '; …' : ''}`;
}

function sampleText({ sampled, unseen, errors, lastError }: NonNullable<Report['queryable']>): string {
  const unseenText = unseen === 0 ? '' : `, ${unseen} of them not seen`;
  const errorText = errors === 0 ? '' : `, ${errors} requests failed (the last: ${lastError})`;
  return `${sampled} sampled${unseenText}${errorText}`;
}
