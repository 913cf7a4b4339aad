/** What is told of a list of values, each figure by its definition. */
import type { Aggregate } from './config.ts';

export interface Value {
  readonly timeUs: number;
  readonly value: number;
}

/** Above so many values percentiles are estimated. */
export const maxExactValues = 512;

/** `values`: at least one, in order of event time; those of one time in order of arrival. */
export function summaryOf(values: readonly Value[]): Readonly<Record<Aggregate, number>> {
  const numbers = values.map(({ value }) => value);
  const sorted = numbers.toSorted((a, b) => a - b);
  const sum = sumOf(numbers);
  const increase = sumOf(numbers.slice(1).map((value, i) => (value >= numbers[i]! ? value - numbers[i]! : value)));
  const seconds = secondsOf(values);
  return {
    count: numbers.length,
    sum,
    min: sorted[0]!,
    max: sorted.at(-1)!,
    mean: sum / numbers.length,
    stddev: stddevOf(numbers),
    first: numbers[0]!,
    last: numbers.at(-1)!,
    p50: percentileOf(sorted, 0.5),
    p95: percentileOf(sorted, 0.95),
    p99: percentileOf(sorted, 0.99),
    increase,
    rate: seconds === 0 ? 0 : increase / seconds,
  };
}

/** From the first to the last. */
export function secondsOf(values: readonly Value[]): number {
  return (values.at(-1)!.timeUs - values[0]!.timeUs) / 1e6;
}

/** The large ones first, and what each step rounds away is kept (Neumaier). */
function sumOf(numbers: readonly number[]): number {
  let sum = 0;
  let lost = 0;
  for (const number of numbers.toSorted((a, b) => Math.abs(b) - Math.abs(a))) {
    const next = sum + number;
    lost += Math.abs(sum) >= Math.abs(number) ? sum - next + number : number - next + sum;
    sum = next;
  }
  return sum + lost;
}

/** Of the sample, from distances to the first value: a large offset costs nothing. */
function stddevOf(numbers: readonly number[]): number {
  if (numbers.length === 1) return 0;
  const distances = numbers.map((number) => number - numbers[0]!);
  const mean = sumOf(distances) / distances.length;
  return Math.sqrt(sumOf(distances.map((distance) => (distance - mean) ** 2)) / (numbers.length - 1));
}

/** Linear between the neighbouring ranks. */
export function percentileOf(sorted: readonly number[], q: number): number {
  const rank = q * (sorted.length - 1);
  const [below, above] = [sorted[Math.floor(rank)]!, sorted[Math.ceil(rank)]!];
  return below + (above - below) * (rank - Math.floor(rank));
}
