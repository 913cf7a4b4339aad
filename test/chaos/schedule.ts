/** When what is hurt, and how: a seeded plan, so that a run that fails can be made again. */
import { randomStream } from '../../simulator/random.ts';

/**
 * `kill` -9 and start again; `restart` with SIGTERM; `freeze` with SIGSTOP until SIGCONT; `fill` the disk until there is
 * space again; `shift` the clock and back.
 */
export type FaultKind = 'kill' | 'restart' | 'freeze' | 'fill' | 'shift';

export interface Fault {
  /** From the start of the load. */
  readonly atMs: number;
  readonly part: string;
  readonly kind: FaultKind;
  /** How long it stays down, frozen, full or wrong. */
  readonly forMs: number;
  /** By which a clock is wrong; 0 for all other kinds. */
  readonly shiftMs: number;
}

export interface Victim {
  readonly name: string;
  /** The first one comes at least once in every plan. */
  readonly kinds: readonly [FaultKind, ...FaultKind[]];
}

/** The longest of each kind. A frozen processor should now and then outlive its session: `sessionTimeoutMs` of the suite. */
const longestMs: Readonly<Record<FaultKind, number>> = {
  kill: 3000,
  restart: 1000,
  freeze: 9000,
  fill: 4000,
  shift: 8000,
};
const largestShiftMs = 8000;
/** The load is on when the first fault comes, and goes on after the last. */
const [firstPart, lastPart] = [0.05, 0.85];

/**
 * In order of time: one for each victim, a kill for each name in `killed`, and then others until there are `faults` of
 * them.
 */
export function plan(
  seed: number,
  victims: readonly Victim[],
  durationMs: number,
  faults: number,
  killed: readonly string[] = [],
): Fault[] {
  const random = randomStream(seed, 'chaos');
  const all = victims.flatMap(({ name, kinds }) => kinds.map((kind) => ({ part: name, kind })));
  const surely = [
    ...victims.map(({ name, kinds }) => ({ part: name, kind: kinds[0] })),
    ...killed.map((part) => ({ part, kind: 'kill' as const })),
  ];
  const others = Array.from({ length: Math.max(0, faults - surely.length) }, () => pick(all, random));
  return [...surely, ...others]
    .map(({ part, kind }) => ({
      atMs: Math.round((firstPart + random() * (lastPart - firstPart)) * durationMs),
      part,
      kind,
      forMs: Math.round(random() * longestMs[kind]),
      shiftMs: kind === 'shift' ? Math.round((2 * random() - 1) * largestShiftMs) : 0,
    }))
    .sort((a, b) => a.atMs - b.atMs);
}

function pick<T>(list: readonly T[], random: () => number): T {
  return list[Math.floor(random() * list.length)]!;
}
