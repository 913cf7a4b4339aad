/** What came out against what must come out. Numbers that are sums of others may differ in their last digits, no others. */
import type { Fields } from '../../../core/reading.ts';
import { type Emission, placeOf } from './emissions.ts';
import type { Outcome } from './oracle.ts';
import { factsOf } from './rules.ts';
import { maxExactValues, percentileOf, secondsOf, type Value } from './summary.ts';

/** Of one event, as the stages of the processor put it out. */
export interface Actual extends Omit<Outcome, 'emissions'> {
  readonly emissions: readonly Omit<Emission, 'values'>[];
}

/** The first difference, in words; `null` when there is none. */
export function differenceOf(expected: Outcome, actual: Actual): string | null {
  const [mustBe, have] = [told(expected), told(actual)];
  for (const part of ['accepted', 'late', 'duplicates', 'deadLetters', 'alerts'] as const) {
    const [must, is] = [JSON.stringify(mustBe[part]), JSON.stringify(have[part])];
    if (must !== is) return `${part}: expected ${must}, got ${is}`;
  }
  const [must, are] = [inOrder(expected.emissions), inOrder(actual.emissions)];
  for (let i = 0; i < Math.max(must.length, are.length); i++) {
    const difference = emissionDifference(must[i], are[i]);
    if (difference !== null) return difference;
  }
  return null;
}

/** With the keys in one order. */
function told(outcome: Outcome | Actual) {
  return { ...outcome, alerts: outcome.alerts.map(factsOf) };
}

/** By place; what was emitted at one place stays in order. */
function inOrder<T extends Omit<Emission, 'values'>>(emissions: readonly T[]): T[] {
  return emissions.toSorted((a, b) => (placeOf(a) < placeOf(b) ? -1 : placeOf(a) > placeOf(b) ? 1 : 0));
}

export function emissionDifference(
  expected: Emission | undefined,
  actual: Omit<Emission, 'values'> | undefined,
): string | null {
  if (expected === undefined) return `emitted, and must not be: ${describe(actual!)}`;
  if (actual === undefined) return `not emitted: ${describe(expected)}`;
  if (placeOf(expected) !== placeOf(actual)) return `expected ${describe(expected)}, got ${describe(actual)}`;
  const wrong = new Set([...Object.keys(expected.fields), ...Object.keys(actual.fields)]);
  for (const name of wrong) {
    if (isRight(name, expected, actual.fields)) wrong.delete(name);
  }
  if (wrong.size === 0) return null;
  const names = [...wrong].map((name) => `${name} ${expected.fields[name]} ≠ ${actual.fields[name]}`);
  return `${placeText(expected)}: ${names.join(', ')}; expected ${describe(expected)}, got ${describe(actual)}`;
}

function isRight(name: string, { fields, values = [] }: Emission, actual: Fields): boolean {
  const [must, is] = [fields[name], actual[name]];
  if (must === is) return true;
  if (typeof must !== 'number' || typeof is !== 'number') return false;
  const sumOfSizes = values.reduce((sum, { value }) => sum + Math.abs(value), 0);
  const largest = values.reduce((size, { value }) => Math.max(size, Math.abs(value)), 0);
  switch (name) {
    case 'sum':
    case 'increase':
      return Math.abs(must - is) <= 1e-13 * sumOfSizes;
    case 'mean':
      return Math.abs(must - is) <= (1e-13 * sumOfSizes) / values.length;
    case 'rate':
      return Math.abs(must - is) <= 1e-12 * Math.abs(must) + (1e-13 * sumOfSizes) / secondsOf(values);
    case 'stddev':
      return Math.abs(must - is) <= 1e-9 * must + 4e-15 * largest;
    case 'p50':
    case 'p95':
    case 'p99':
      return isPercentile(name, values, must, is);
    default:
      return false;
  }
}

/** How far the rank of an estimated percentile may be from the true one: a part of all values, and two of them; besides a millionth. */
const rankErrors: Readonly<Record<string, number>> = { p50: 0.005, p95: 0.003, p99: 0.002 };

function isPercentile(name: string, values: readonly Value[], must: number, is: number): boolean {
  const rounding = 1e-12 * Math.max(Math.abs(must), Math.abs(is));
  if (values.length <= maxExactValues) return Math.abs(must - is) <= rounding;
  const sorted = values.map(({ value }) => value).sort((a, b) => a - b);
  const q = Number(name.slice(1)) / 100;
  const leeway = rankErrors[name]! + 2 / values.length;
  const [low, high] = [percentileOf(sorted, Math.max(0, q - leeway)), percentileOf(sorted, Math.min(1, q + leeway))];
  return is >= low - 1e-6 * Math.abs(low) && is <= high + 1e-6 * Math.abs(high);
}

function placeText(emission: Omit<Emission, 'values'>): string {
  const { measurement, tags, timeUs } = emission;
  const { site: _, ...others } = tags;
  return `${measurement} ${Object.values(others).join('/')} ${new Date(timeUs / 1000).toISOString()}`;
}

function describe(emission: Omit<Emission, 'values'>): string {
  return `${placeText(emission)} ${JSON.stringify(emission.fields)}`;
}
