/** What an entry of `windows:` keeps of the values of one field, and the fields that it makes of them. */
import type { Aggregate } from '../../../core/windows-config.ts';
import type { StateReader, StateWriter } from '../../codec.ts';
import { Fold } from '../fold.ts';
import { CounterReadings, Increase } from './increase.ts';
import { TimedMoments } from './timed-moments.ts';

/** What the aggregates of an entry need to be kept: nothing else is. */
export class Plan {
  readonly aggregates: readonly Aggregate[];
  readonly moments: boolean;
  /** With them, the moments are those of the fold. */
  readonly percentiles: boolean;
  readonly counter: boolean;

  constructor(aggregates: readonly Aggregate[]) {
    const isOfCounter = (aggregate: Aggregate) => aggregate === 'increase' || aggregate === 'rate';
    this.aggregates = aggregates;
    this.percentiles = aggregates.some((aggregate) => ['p50', 'p95', 'p99'].includes(aggregate));
    this.counter = aggregates.some(isOfCounter);
    this.moments = !this.percentiles && !aggregates.every(isOfCounter);
  }
}

/** Of readings in order of their time. Mergeable with what came after them. */
export class Totals {
  readonly #plan: Plan;
  readonly #moments: TimedMoments | null;
  readonly #fold: Fold | null;
  readonly #increase: Increase | null;

  constructor(
    plan: Plan,
    moments = plan.moments ? new TimedMoments() : null,
    fold = plan.percentiles ? new Fold() : null,
    increase = plan.counter ? new Increase() : null,
  ) {
    this.#plan = plan;
    this.#moments = moments;
    this.#fold = fold;
    this.#increase = increase;
  }

  add(value: number, timeUs: number): void {
    this.#moments?.add(value, timeUs);
    this.#fold?.add(value, timeUs);
    this.#increase?.add(value, timeUs);
  }

  merge(later: Totals): void {
    if (later.#moments !== null) this.#moments?.merge(later.#moments);
    if (later.#fold !== null) this.#fold?.merge(later.#fold);
    if (later.#increase !== null) this.#increase?.merge(later.#increase);
  }

  /** Exactly the aggregates of the entry. Of at least one reading; changes nothing. */
  fields(): Record<string, number> {
    const known: Partial<Record<Aggregate, number>> = { ...this.#moments?.summary(), ...this.#fold?.summary() };
    if (this.#increase !== null) {
      known.increase = this.#increase.total;
      known.rate = this.#increase.perSecond;
    }
    return Object.fromEntries(this.#plan.aggregates.map((aggregate) => [aggregate, known[aggregate]!]));
  }

  save(to: StateWriter): void {
    this.#moments?.save(to);
    this.#fold?.save(to);
    this.#increase?.save(to);
  }

  load(from: StateReader): void {
    this.#moments?.load(from);
    this.#fold?.load(from);
    this.#increase?.load(from);
  }
}

/** Of readings in any order: what a slice of a window holds. */
export class SliceTotals {
  readonly #plan: Plan;
  readonly #moments: TimedMoments | null;
  readonly #fold: Fold | null;
  readonly #counter: CounterReadings | null;

  constructor(plan: Plan) {
    this.#plan = plan;
    this.#moments = plan.moments ? new TimedMoments() : null;
    this.#fold = plan.percentiles ? new Fold() : null;
    this.#counter = plan.counter ? new CounterReadings() : null;
  }

  add(value: number, timeUs: number): void {
    this.#moments?.add(value, timeUs);
    this.#fold?.add(value, timeUs);
    this.#counter?.add(value, timeUs);
  }

  settle(horizonUs: number): void {
    this.#counter?.settle(horizonUs);
  }

  /** To be read and not to be changed: they share what the slice holds. */
  totals(): Totals {
    const increase = this.#counter === null ? null : new Increase();
    if (increase !== null) this.#counter?.addTo(increase);
    return new Totals(this.#plan, this.#moments, this.#fold, increase);
  }

  save(to: StateWriter): void {
    this.#moments?.save(to);
    this.#fold?.save(to);
    this.#counter?.save(to);
  }

  load(from: StateReader): void {
    this.#moments?.load(from);
    this.#fold?.load(from);
    this.#counter?.load(from);
  }
}
