/** Conditions on the numbers of a report, as in `lost==0,puback.p99<250`: they decide whether a run has passed. */
import { type LatencyName, latenciesOf, latencyMeanings, type Report } from './report/report.ts';

export interface Assertion {
  /** As it was written, without blanks. */
  readonly text: string;
  readonly quantity: Quantity;
  readonly comparison: Comparison;
  readonly bound: number;
}

export interface CheckedAssertion {
  readonly text: string;
  /** `null`: it was not measured, and the assertion does not hold. */
  readonly actual: number | null;
  readonly holds: boolean;
}

type Quantity = (report: Report) => number | null;
type Comparison = (actual: number, bound: number) => boolean;

const comparisons: Readonly<Record<string, Comparison>> = {
  '<': (actual, bound) => actual < bound,
  '<=': (actual, bound) => actual <= bound,
  '==': (actual, bound) => actual === bound,
  '!=': (actual, bound) => actual !== bound,
  '>=': (actual, bound) => actual >= bound,
  '>': (actual, bound) => actual > bound,
};

const counts: Readonly<Record<string, Quantity>> = {
  lost: ({ lost }) => lost,
  unacknowledged: ({ unacknowledged }) => unacknowledged,
  skipped: ({ skipped }) => skipped,
  made: ({ made }) => made,
  sent: ({ sent }) => sent,
  resent: ({ resent }) => resent,
  acknowledged: ({ acknowledged }) => acknowledged,
  refused: ({ refused }) => refused,
  devices: ({ devices }) => devices,
  connected: ({ everConnected }) => everConnected,
  reconnects: ({ reconnects }) => reconnects,
  errors: ({ errors }) => errors,
  rate: ({ sentPerSecond }) => sentPerSecond,
  seconds: ({ seconds }) => seconds,
  cpu: ({ cpuUsPerMessage }) => cpuUsPerMessage,
  memory: ({ peakMemoryMb }) => peakMemoryMb,
  unseen: ({ queryable }) => queryable?.unseen ?? null,
};

const latencyNames = Object.keys(latencyMeanings) as LatencyName[];
const parts = ['count', 'min', 'mean', 'p50', 'p90', 'p99', 'p999', 'max'] as const;

const known = `known are ${Object.keys(counts).join(', ')}; and of ${latencyNames.join(', ')}, in milliseconds, .${parts.join(' .')}`;

/** A list with commas. A problem for each part that is wrong; with the last, what is known. */
export function parseAssertions(list: string): { assertions: Assertion[]; problems: string[] } {
  const parsed = list.split(',').map(parse);
  const problems = parsed.filter((one) => typeof one === 'string');
  return { assertions: parsed.filter((one) => typeof one !== 'string'), problems: withKnown(problems) };
}

export function checkAssertions(assertions: readonly Assertion[], report: Report): CheckedAssertion[] {
  return assertions.map(({ text, quantity, comparison, bound }) => {
    const actual = quantity(report);
    return { text, actual, holds: actual !== null && comparison(actual, bound) };
  });
}

function withKnown(problems: readonly string[]): string[] {
  return problems.map((problem, n) => (n === problems.length - 1 ? `${problem}; ${known}` : problem));
}

/** What is wrong with it, or the assertion. */
function parse(part: string): Assertion | string {
  const text = part.replaceAll(' ', '');
  const [, name, operator, number] =
    /^([a-z][a-z0-9]*(?:\.[a-z0-9]+)?)(<=|>=|==|!=|<|>)(\d+(?:\.\d+)?)$/.exec(text) ?? [];
  if (name === undefined || operator === undefined || number === undefined) {
    return `'${part.trim()}' is not a name, one of ${Object.keys(comparisons).join(' ')}, and a number`;
  }
  const quantity = quantityOf(name);
  if (quantity === null) return `there is no '${name}'`;
  return { text, quantity, comparison: comparisons[operator]!, bound: Number(number) };
}

function quantityOf(name: string): Quantity | null {
  if (Object.hasOwn(counts, name)) return counts[name]!;
  const [first, second] = name.split('.');
  const latency = latencyNames.find((one) => one === first);
  const part = parts.find((one) => one === second);
  if (latency === undefined || part === undefined) return null;
  return (report) => latenciesOf(report)[latency]?.[part] ?? null;
}
