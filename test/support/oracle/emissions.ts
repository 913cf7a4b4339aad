/** Points as they are emitted, one after the other: what is counted is which of them was at the same place before. */
import type { Fields } from '../../../core/reading.ts';
import type { Value } from './summary.ts';

export interface Emission {
  readonly measurement: string;
  readonly tags: Readonly<Record<string, string>>;
  readonly timeUs: number;
  /** With `revision` and `final`. */
  readonly fields: Fields;
  /** What a window of numbers holds: estimates are judged by it. */
  readonly values?: readonly Value[];
}

/** Two emissions of one place overwrite each other. */
export function placeOf({ measurement, tags, timeUs }: Omit<Emission, 'fields'>): string {
  const sorted = Object.entries(tags).sort(([a], [b]) => (a < b ? -1 : 1));
  return `${measurement} ${sorted.map(([name, value]) => `${name}=${value}`).join(' ')} ${timeUs}`;
}

/** Where the windows of one device put their points. */
export class Emissions {
  readonly #onEmission: (emission: Emission) => void;
  readonly #newest = new Map<string, Emission>();

  constructor(onEmission: (emission: Emission) => void) {
    this.#onEmission = onEmission;
  }

  emit(point: Emission): void {
    const place = placeOf(point);
    const revision = (this.#newest.get(place)?.fields.revision ?? -1) as number;
    const emission = { ...point, fields: { ...point.fields, revision: revision + 1 } };
    this.#newest.set(place, emission);
    this.#onEmission(emission);
  }

  /** What was emitted last at a place. */
  newest(place: Omit<Emission, 'fields'>): Emission | undefined {
    return this.#newest.get(placeOf(place));
  }
}
