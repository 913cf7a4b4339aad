/** What is found: what became of each message, and what is wrong. */
import type { Message } from './truth-file.ts';

/**
 * What became of a message; each has one, so that they add up to what was made.
 * - `stored`: its reading is in the store, late ones included · `repeated`: another message said the same before
 * - `deadLettered` · `altered`: the store holds something else in its place · `lost`: it is nowhere that counts
 * - `refused` by the broker, `notSent`: on purpose · `notArrived`: never acknowledged, and not in the log
 */
export const fates = [
  'stored',
  'repeated',
  'deadLettered',
  'altered',
  'lost',
  'refused',
  'notSent',
  'notArrived',
] as const;
export type Fate = (typeof fates)[number];

export const problemKinds = {
  lost: 'P1',
  unaccounted: 'P2',
  storedTwice: 'P2',
  countedTwice: 'P2',
  altered: 'P2',
  invented: 'P2',
  deadLetter: 'P2',
  late: 'P2',
  taken: 'P2',
  ledger: 'P2',
  rollup: 'P3',
  alert: 'P3',
  alertId: 'P3',
  incomplete: null,
} as const satisfies Record<string, 'P1' | 'P2' | 'P3' | null>;
export type ProblemKind = keyof typeof problemKinds;

/** Where a message was seen last on its way: `raw PARTITION/OFFSET` is a place of the raw topic. */
export type LastSeen = 'gateway' | `raw ${number}/${number}` | 'dlq' | 'store';

export interface Problem {
  readonly kind: ProblemKind;
  readonly text: string;
  /** `site/device`. */
  readonly device?: string;
  /** The message it is about. */
  readonly n?: number;
  readonly topic?: string;
  readonly intendedMs?: number;
  readonly acknowledgedMs?: number | null;
  readonly faults?: readonly string[];
  readonly lastSeen?: LastSeen;
}

export type ReasonCounts = Record<string, { expected: number; unexpected: number }>;

/** Of the messages that carry the label of a fault. One that carries several counts under each. */
export interface FaultCounts {
  messages: number;
  problems: number;
  /** Alerts that their readings must make fire, and that did. */
  alertsExpected: number;
  alertsRaised: number;
}

/** Of one device, or of all of them. */
export class Findings {
  readonly fates = Object.fromEntries(fates.map((fate) => [fate, 0])) as Record<Fate, number>;
  readonly counts = Object.fromEntries(Object.keys(problemKinds).map((kind) => [kind, 0])) as Record<
    ProblemKind,
    number
  >;
  /** At most `maxListed` of each kind; `counts` tells how many there are. */
  readonly problems: Problem[] = [];
  readonly deadLettered: ReasonCounts = {};
  /** By label. */
  readonly faults: Record<string, FaultCounts> = {};
  late = 0;
  /** Never acknowledged and in the log all the same: their readings count. */
  unacknowledgedArrived = 0;
  /** Rollups compared, and those left out because their windows may still be open. */
  rollups = 0;
  openWindows = 0;
  /** Transitions that a reference evaluation of the rules expects; seen and expected; seen and not expected. */
  alertsExpected = 0;
  alertsMatched = 0;
  alertsUnexpected = 0;
  /** Ended by a rule that was removed or a device that was forgotten: no reading tells of it. */
  alertsEndedOtherwise = 0;
  alertRepeats = 0;
  /** From the event time of a transition to the receive time of the record that caused it, ms. */
  readonly alertDelaysMs: number[] = [];
  readonly #maxListed: number;

  constructor(maxListed: number) {
    this.#maxListed = maxListed;
  }

  get total(): number {
    return Object.values(this.counts).reduce((sum, count) => sum + count, 0);
  }

  add(problem: Problem): void {
    this.counts[problem.kind]++;
    if (this.counts[problem.kind] <= this.#maxListed) this.problems.push(problem);
  }

  /** A problem of one message. */
  addMessage(kind: ProblemKind, device: string, message: Message, lastSeen: LastSeen, text: string): void {
    const { n, topic, intendedMs, acknowledgedMs, faults } = message;
    for (const label of faults) this.#fault(label).problems++;
    this.add({ kind, text, device, n, topic, intendedMs, acknowledgedMs, faults, lastSeen });
  }

  countFaults(labels: readonly string[]): void {
    for (const label of labels) this.#fault(label).messages++;
  }

  /** An alert that fires over a reading of a message with these labels. */
  countAlert(labels: readonly string[], isRaised: boolean): void {
    for (const label of labels) {
      const counts = this.#fault(label);
      counts.alertsExpected++;
      if (isRaised) counts.alertsRaised++;
    }
  }

  countDeadLetter(reason: string, as: 'expected' | 'unexpected'): void {
    this.deadLettered[reason] ??= { expected: 0, unexpected: 0 };
    this.deadLettered[reason][as]++;
  }

  merge(other: Findings): void {
    for (const fate of fates) this.fates[fate] += other.fates[fate];
    const listed = Object.groupBy(other.problems, ({ kind }) => kind);
    for (const kind of Object.keys(problemKinds) as ProblemKind[]) {
      const room = Math.max(0, this.#maxListed - this.counts[kind]);
      for (const problem of (listed[kind] ?? []).slice(0, room)) this.problems.push(problem);
      this.counts[kind] += other.counts[kind];
    }
    for (const [reason, { expected, unexpected }] of Object.entries(other.deadLettered)) {
      this.deadLettered[reason] ??= { expected: 0, unexpected: 0 };
      this.deadLettered[reason].expected += expected;
      this.deadLettered[reason].unexpected += unexpected;
    }
    for (const [label, others] of Object.entries(other.faults)) {
      const counts = this.#fault(label);
      for (const part of Object.keys(counts) as (keyof FaultCounts)[]) counts[part] += others[part];
    }
    this.late += other.late;
    this.unacknowledgedArrived += other.unacknowledgedArrived;
    this.rollups += other.rollups;
    this.openWindows += other.openWindows;
    this.alertsExpected += other.alertsExpected;
    this.alertsMatched += other.alertsMatched;
    this.alertsUnexpected += other.alertsUnexpected;
    this.alertsEndedOtherwise += other.alertsEndedOtherwise;
    this.alertRepeats += other.alertRepeats;
    for (const delayMs of other.alertDelaysMs) this.alertDelaysMs.push(delayMs);
  }

  #fault(label: string): FaultCounts {
    this.faults[label] ??= { messages: 0, problems: 0, alertsExpected: 0, alertsRaised: 0 };
    return this.faults[label];
  }
}
