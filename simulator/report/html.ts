/** The report as one page that needs nothing else, with its plots drawn in. */
import { escaped, page } from '../../core/page.ts';
import { figure, type Plot, plotStyle } from './plot.ts';
import { type Distribution, type LatencyName, latenciesOf, latencyMeanings, type Report } from './report.ts';
import type { Second } from './series.ts';
import { rowsOf } from './text.ts';

const style = `${plotStyle}
th[scope=row] { width: 12rem; font-weight: 600 } .numbers td, .numbers th:not(:first-child) { text-align: right; font-variant-numeric: tabular-nums }
.wide { overflow-x: auto; max-height: 30rem }`;

export function reportHtml(report: Report): string {
  const { problems, scenario, startedAtMs } = report;
  const verdict =
    problems.length === 0
      ? '<p class="verdict ok">Passed</p>'
      : `<div class="verdict broken">Failed<ul>${problems.map((problem) => `<li>${escaped(problem)}</li>`).join('')}</ul></div>`;
  const body = [
    verdict,
    `<p>Started ${new Date(startedAtMs).toISOString()}.</p>`,
    table(rowsOf(report).map(([name, value]) => [name, value])),
    assertionTable(report),
    '<h2>Latency</h2>',
    latencyTable(report),
    ...plotsOf(report).map(figure),
    '<h2>Second by second</h2>',
    seriesTable(report.series),
  ];
  return page({ title: `Sluice simulate: ${scenario}`, style, body: body.filter((part) => part !== '').join('\n') });
}

function plotsOf(report: Report): Plot[] {
  return [percentiles(report), rates(report.series), latencies(report.series), connections(report.series)].filter(
    ({ lines }) => lines.some(({ points }) => points.some(([, y]) => y !== null)),
  );
}

function percentiles({ distributions }: Report): Plot {
  const { connectMs, sendLagMs, ackMs, queryableMs } = distributions;
  const named: readonly (readonly [LatencyName, Distribution])[] = [
    ['connect', connectMs],
    ['lag', sendLagMs],
    ['puback', ackMs],
    ['queryable', queryableMs],
  ];
  const measured = named.filter(([, distribution]) => distribution.length > 0);
  const most = Math.max(1, ...measured.map(([, distribution]) => totalOf(distribution)));
  const nines = Math.max(1, Math.ceil(Math.log10(most)));
  return {
    id: 'percentiles',
    title: 'Latency by percentile',
    description: 'How long the given part of all took at most; the numbers are in the table above.',
    xLabel: 'percentile',
    yLabel: 'milliseconds',
    xTicks: [[0, '0'], ...Array.from({ length: nines }, (_, n) => [n + 1, percentileName(n + 1)] as const)],
    yScale: 'log',
    lines: measured.map(([name, distribution]) => ({ name, points: percentilePoints(distribution) })),
  };
}

/** One decade to the right for each nine: 90, 99, 99.9 … */
function percentilePoints(distribution: Distribution): [x: number, ms: number][] {
  const total = totalOf(distribution);
  let passed = 0;
  const points = distribution.map(([ms, count]): [number, number] => {
    passed += count;
    const left = Math.max(total - passed, 0.5) / total;
    return [-Math.log10(left), ms];
  });
  return [[0, distribution[0]![0]], ...points];
}

function totalOf(distribution: Distribution): number {
  return distribution.reduce((total, [, count]) => total + count, 0);
}

function percentileName(nines: number): string {
  return nines <= 2 ? '9'.repeat(nines).padEnd(2, '0') : `99.${'9'.repeat(nines - 2)}`;
}

function rates(series: readonly Second[]): Plot {
  return {
    ...overTime(series),
    id: 'rates',
    title: 'Messages per second',
    description: 'Messages sent for the first time and acknowledged, and those outstanding, over time.',
    yLabel: 'messages',
    yScale: 'linear',
    lines: [
      { name: 'sent', points: series.map(({ atSeconds, sentPerSecond }) => [atSeconds, sentPerSecond]) },
      { name: 'acknowledged', points: series.map((second) => [second.atSeconds, second.acknowledgedPerSecond]) },
      { name: 'outstanding', points: series.map(({ atSeconds, outstanding }) => [atSeconds, outstanding]) },
    ],
  };
}

function latencies(series: readonly Second[]): Plot {
  return {
    ...overTime(series),
    id: 'latencies',
    title: 'Latency over time',
    description: 'Of what came to its end in each second: acknowledgement and lag of the generator.',
    yLabel: 'milliseconds',
    yScale: 'log',
    lines: [
      { name: 'puback p50', points: series.map(({ atSeconds, ackP50Ms }) => [atSeconds, ackP50Ms]) },
      { name: 'puback p99', points: series.map(({ atSeconds, ackP99Ms }) => [atSeconds, ackP99Ms]) },
      { name: 'lag p99', points: series.map(({ atSeconds, lagP99Ms }) => [atSeconds, lagP99Ms]) },
      { name: 'connect p99', points: series.map(({ atSeconds, connectP99Ms }) => [atSeconds, connectP99Ms]) },
    ],
  };
}

function connections(series: readonly Second[]): Plot {
  return {
    ...overTime(series),
    id: 'connections',
    title: 'Connections and errors',
    description: 'Devices connected at the end of each second, and connections that failed or were lost in it.',
    yLabel: 'devices',
    yScale: 'linear',
    lines: [
      { name: 'connected', points: series.map(({ atSeconds, connected }) => [atSeconds, connected]) },
      { name: 'errors', points: series.map(({ atSeconds, errors }) => [atSeconds, errors]) },
    ],
  };
}

function overTime(series: readonly Second[]): Pick<Plot, 'xLabel' | 'xTicks'> {
  const end = series.at(-1)?.atSeconds ?? 1;
  const step = [1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600, 21_600, 86_400].find((one) => end / one <= 12);
  const wide = step ?? end / 10;
  const ticks = Array.from({ length: Math.floor(end / wide) + 1 }, (_, n) => n * wide);
  return { xLabel: 'seconds', xTicks: ticks.map((at) => [at, String(Math.round(at))]) };
}

function table(rows: readonly (readonly [name: string, value: string])[]): string {
  const lines = rows.map(([name, value]) => `<tr><th scope="row">${escaped(name)}</th><td>${escaped(value)}</td></tr>`);
  return `<table>\n${lines.join('\n')}\n</table>`;
}

function assertionTable({ assertions }: Report): string {
  if (assertions.length === 0) return '';
  const rows = assertions.map(({ text, actual, holds }): [string, string] => [
    text,
    `${actual ?? 'not measured'}: ${holds ? 'holds' : 'does not hold'}`,
  ]);
  return `<h2>Assertions</h2>\n${table(rows)}`;
}

function latencyTable(report: Report): string {
  const measured = latenciesOf(report);
  const columns = ['count', 'min', 'mean', 'p50', 'p90', 'p99', 'p999', 'max'] as const;
  const head = columns.map((column) => `<th scope="col">${column === 'p999' ? 'p99.9' : column}</th>`).join('');
  const rows = (Object.keys(measured) as LatencyName[]).flatMap((name) => {
    const quantiles = measured[name];
    if (quantiles === null) return [];
    const cells = columns.map((column) => `<td>${quantiles[column].toLocaleString('en')}</td>`).join('');
    return [`<tr><th scope="row">${name}</th>${cells}</tr>`];
  });
  const meanings = Object.entries(latencyMeanings).map(([name, text]) => `<li><b>${name}</b>: ${escaped(text)}</li>`);
  return `<p>Milliseconds.</p>
<table class="numbers">\n<tr><th scope="col">latency</th>${head}</tr>\n${rows.join('\n')}\n</table>
<ul>${meanings.join('')}</ul>`;
}

function seriesTable(series: readonly Second[]): string {
  const columns: readonly (readonly [title: string, of: (second: Second) => number | null])[] = [
    ['at, s', ({ atSeconds }) => atSeconds],
    ['connected', ({ connected }) => connected],
    ['sent/s', ({ sentPerSecond }) => sentPerSecond],
    ['acknowledged/s', ({ acknowledgedPerSecond }) => acknowledgedPerSecond],
    ['outstanding', ({ outstanding }) => outstanding],
    ['errors', ({ errors }) => errors],
    ['connect p99', ({ connectP99Ms }) => connectP99Ms],
    ['lag p99', ({ lagP99Ms }) => lagP99Ms],
    ['puback p50', ({ ackP50Ms }) => ackP50Ms],
    ['puback p99', ({ ackP99Ms }) => ackP99Ms],
  ];
  const head = columns.map(([title]) => `<th scope="col">${title}</th>`).join('');
  const rows = series.map((second) => `<tr>${columns.map(([, of]) => `<td>${of(second) ?? ''}</td>`).join('')}</tr>`);
  return `<details><summary>The numbers behind the plots</summary>
<div class="wide" tabindex="0" role="region" aria-label="Second by second"><table class="numbers">\n<tr>${head}</tr>\n${rows.join('\n')}\n</table></div>
</details>`;
}
