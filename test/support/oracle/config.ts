/** A configuration drawn from a seed, and the forms in which the processor is given it. */
import { type Random, randomStream } from '../../../simulator/random.ts';
import { zones } from './zones.ts';

export const levels = ['1m', '1h', '1d'] as const;
export type Level = (typeof levels)[number];

export const aggregates = [
  'count',
  'sum',
  'min',
  'max',
  'mean',
  'stddev',
  'first',
  'last',
  'p50',
  'p95',
  'p99',
  'rate',
  'increase',
] as const;
export type Aggregate = (typeof aggregates)[number];

interface OfFields {
  /** Its measurement. */
  readonly name: string;
  /** Patterns with * and ?. */
  readonly fields: readonly string[];
  readonly aggregates: readonly Aggregate[];
}
export type WindowOfUser =
  | (OfFields & { readonly type: 'tumbling'; readonly sizeMs: number })
  | (OfFields & { readonly type: 'hopping'; readonly sizeMs: number; readonly advanceMs: number })
  | (OfFields & { readonly type: 'session'; readonly gapMs: number });

export interface ThresholdRule {
  readonly name: string;
  readonly field: string;
  readonly direction: 'above' | 'below';
  readonly threshold: number;
  readonly clear: number;
  readonly forMs: number;
  /** A pattern. */
  readonly device: string;
}

export interface CaseConfig {
  readonly outOfOrdernessMs: number;
  readonly latenessMs: number;
  readonly maxFutureMs: number;
  readonly idleAfterMs: number;
  readonly forgetAfterMs: number;
  readonly rollups: readonly Level[];
  readonly timeZone: string;
  readonly states: boolean;
  readonly windows: readonly WindowOfUser[];
  readonly rules: readonly ThresholdRule[];
  /** After so many events each time the processor goes on from a snapshot. */
  readonly restartEvery: number;
}

const second = 1000;
const minute = 60 * second;
const hour = 60 * minute;
const day = 24 * hour;

export function pick<T>(random: Random, list: readonly T[]): T {
  return list[Math.floor(random() * list.length)]!;
}

export function drawConfig(seed: number): CaseConfig {
  const random = randomStream('oracle', seed, 'config');
  return {
    outOfOrdernessMs: pick(random, [0, second, 5 * second, 5 * second, minute, hour]),
    latenessMs: pick(random, [0, 30 * second, 10 * minute, 10 * minute, 2 * hour, 2 * day]),
    maxFutureMs: pick(random, [0, minute, minute, day]),
    idleAfterMs: pick(random, [2 * second, 15 * second, 15 * second, 5 * minute, hour]),
    forgetAfterMs: pick(random, [2 * hour, day, 7 * day, 7 * day]),
    rollups: random() < 0.6 ? levels : subset(random, levels),
    timeZone: pick(random, Object.keys(zones)),
    states: random() < 0.8,
    windows: Array.from({ length: Math.floor(random() * 4) }, (_, n) => drawWindow(random, `w${n}`)),
    rules: Array.from({ length: Math.floor(random() * 3) }, (_, n) => drawRule(random, `r${n}`)),
    restartEvery: pick(random, [3, 17, 60, 1000]),
  };
}

const sizesMs = [second, 7 * second, 30 * second, 90 * second, 5 * minute, hour, 7 * hour, day];
const hops: readonly (readonly [sizeMs: number, advanceMs: number])[] = [
  [10 * second, 5 * second],
  [minute, 20 * second],
  [90 * second, 90 * second],
  [10 * minute, 2 * minute],
  [hour, 15 * minute],
  [36 * hour, 12 * hour],
];
const gapsMs = [second, 5 * second, 30 * second, 2 * minute, 15 * minute, 2 * hour, 8 * hour];

function drawWindow(random: Random, name: string): WindowOfUser {
  const fields = pick(random, [['*'], ['*'], ['temp*'], ['?nergy', 'pressure'], ['load']]);
  const common = { name, fields, aggregates: random() < 0.5 ? aggregates : subset(random, aggregates) };
  const kind = random();
  if (kind < 0.35) return { ...common, type: 'tumbling', sizeMs: pick(random, sizesMs) };
  if (kind < 0.65) {
    const [sizeMs, advanceMs] = pick(random, hops);
    return { ...common, type: 'hopping', sizeMs, advanceMs };
  }
  return { ...common, type: 'session', gapMs: pick(random, gapsMs) };
}

function drawRule(random: Random, name: string): ThresholdRule {
  const field = pick(random, ['temperature', 'load']);
  const direction = pick(random, ['above', 'below'] as const);
  const threshold = field === 'temperature' ? 15 + Math.floor(random() * 15) : Math.floor(random() * 100);
  const leeway = random() < 0.5 ? 0 : 3;
  const clear = direction === 'above' ? threshold - leeway : threshold + leeway;
  const forMs = pick(random, [0, 0, 3 * second, minute]);
  return { name, field, direction, threshold, clear, forMs, device: pick(random, ['*', '*', 'd0', 'd?']) };
}

/** Not empty, in the order of the list. */
function subset<T>(random: Random, list: readonly T[]): readonly T[] {
  const chosen = list.filter(() => random() < 0.4);
  return chosen.length > 0 ? chosen : [pick(random, list)];
}

/** As `sluice.yaml` has it. `more`: settings of the processor that change nothing of what comes out. */
export function fileOf(config: CaseConfig, more: object = {}): object {
  const { windows, rules: _rules, restartEvery: _restartEvery, ...processing } = config;
  return {
    processing: { ...processing, ...more },
    ...(windows.length === 0 ? {} : { windows: windows.map(windowOf) }),
  };
}

function windowOf({ name, fields, aggregates, ...window }: WindowOfUser): object {
  const common = { name, type: window.type, fields, aggregates };
  switch (window.type) {
    case 'tumbling':
      return { ...common, size: `${window.sizeMs}ms` };
    case 'hopping':
      return { ...common, size: `${window.sizeMs}ms`, advance: `${window.advanceMs}ms` };
    case 'session':
      return { ...common, gap: `${window.gapMs}ms` };
  }
}

/** As `rules.yaml` has them; JSON is YAML. */
export function rulesTextOf({ rules }: CaseConfig): string {
  return JSON.stringify(
    rules.map(({ name, field, direction, threshold, clear, forMs, device }) => ({
      name,
      severity: 'warning',
      field,
      when: { [direction]: threshold, clear },
      ...(forMs === 0 ? {} : { for: `${forMs}ms` }),
      devices: { device },
    })),
  );
}

/** Whether a pattern with * and ? is for a name. */
export function matches(pattern: string, name: string): boolean {
  if (pattern === '') return name === '';
  if (pattern[0] === '*') return matches(pattern.slice(1), name) || (name !== '' && matches(pattern, name.slice(1)));
  return name !== '' && (pattern[0] === '?' || pattern[0] === name[0]) && matches(pattern.slice(1), name.slice(1));
}
