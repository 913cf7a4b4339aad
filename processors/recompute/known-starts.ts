/**
 * From when on it is known where the sessions of a field begin: from its first silence of a gap. What is read before may
 * belong to one that began earlier than what is read.
 */
import type { StoredReading } from '../../store/port.ts';

export class KnownStarts {
  readonly #gapUs: number;
  readonly #readFromUs: number;
  readonly #fields = new Map<string, { lastUs: number; knownFromUs: number }>();

  /** All readings are given from `readFromUs` on. */
  constructor(gapUs: number, readFromUs: number) {
    this.#gapUs = gapUs;
    this.#readFromUs = readFromUs;
  }

  /** Takes the next reading. */
  add({ timeUs, fields }: StoredReading): void {
    for (const name in fields) {
      if (typeof fields[name] !== 'number') continue;
      let field = this.#fields.get(name);
      if (field === undefined) {
        field = { lastUs: this.#readFromUs, knownFromUs: Number.POSITIVE_INFINITY };
        this.#fields.set(name, field);
      }
      if (timeUs - field.lastUs >= this.#gapUs) field.knownFromUs = Math.min(field.knownFromUs, timeUs);
      field.lastUs = timeUs;
    }
  }

  isKnown(field: string, startUs: number): boolean {
    return startUs >= (this.#fields.get(field)?.knownFromUs ?? Number.POSITIVE_INFINITY);
  }
}
