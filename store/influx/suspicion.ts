/**
 * What InfluxDB has refused tells which points it will refuse next: those whose field has another type, and those older
 * than what it keeps. No more than a suspicion: a type holds for one shard, and retention can be changed. Suspects are
 * sent by themselves, so that they cost the others nothing; the server decides about them too.
 */
import type { Clock } from '../../core/clock.ts';
import type { FieldValue } from '../../core/reading.ts';
import type { Point } from '../port.ts';
import type { Fault } from '../validity.ts';

/** At the bound all are forgotten; answers to come will teach them again. */
const maxTypes = 10_000;

/** InfluxDB's words, of the first conflict in a request. A name with quotes in it is not found, and nothing is learned. */
const conflict =
  /field type conflict: input field "(.+)" on measurement "(.+)" is type \w+, already exists as type (\w+)/;

export class Suspicion {
  readonly #clock: Clock;
  /** By measurement and field: the type that it has. */
  #types = new Map<string, Map<string, string>>();
  #typeCount = 0;
  /** Points of this age were beyond retention. */
  #refusedAgeMs = Number.POSITIVE_INFINITY;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get isEmpty(): boolean {
    return this.#typeCount === 0 && this.#refusedAgeMs === Number.POSITIVE_INFINITY;
  }

  /** Why the point will be refused, `null` when nothing speaks for it. */
  of(point: Point): Fault | null {
    const message = this.#typeConflict(point);
    if (message !== null) return { reason: 'type_conflict', message };
    const isTooOld = this.#ageMs(point) >= this.#refusedAgeMs;
    return isTooOld ? { reason: 'beyond_retention', message: 'older than what the bucket keeps' } : null;
  }

  /** Takes what an answer says of types. */
  learnType(answer: string): void {
    const [, field, measurement, type] = conflict.exec(answer) ?? [];
    if (field === undefined || measurement === undefined || type === undefined) return;
    if (this.#typeCount >= maxTypes) {
      this.#types = new Map();
      this.#typeCount = 0;
    }
    let types = this.#types.get(measurement);
    if (types === undefined) {
      types = new Map();
      this.#types.set(measurement, types);
    }
    if (!types.has(field)) this.#typeCount++;
    types.set(field, type);
  }

  /** Takes that this point was beyond retention. */
  learnAge(point: Point): void {
    this.#refusedAgeMs = Math.min(this.#refusedAgeMs, this.#ageMs(point));
  }

  #typeConflict({ series, fields }: Point): string | null {
    const types = this.#types.get(series.measurement);
    if (types === undefined) return null;
    for (const name in fields) {
      const type = types.get(name);
      if (type === undefined) continue;
      const given = typeOf(fields[name]!);
      if (given === type) continue;
      const { measurement } = series;
      return `field type conflict: input field "${name}" on measurement "${measurement}" is type ${given}, already exists as type ${type}`;
    }
    return null;
  }

  #ageMs({ timeUs }: Point): number {
    return this.#clock.nowMs() - timeUs / 1000;
  }
}

/** In InfluxDB's words. */
function typeOf(value: FieldValue): string {
  return typeof value === 'number' ? 'float' : typeof value;
}
