/** Which fields an entry of `windows:` is about. */
import { glob } from '../../../core/glob.ts';

/** At the bound all that was remembered is forgotten: names come from devices. */
const maxRemembered = 10_000;

export class FieldFilter {
  /** `null`: all fields. */
  readonly #patterns: readonly RegExp[] | null;
  readonly #remembered = new Map<string, boolean>();

  constructor(patterns: readonly string[]) {
    this.#patterns = patterns.includes('*') ? null : patterns.map(glob);
  }

  matches(field: string): boolean {
    if (this.#patterns === null) return true;
    let matches = this.#remembered.get(field);
    if (matches === undefined) {
      matches = this.#patterns.some((pattern) => pattern.test(field));
      if (this.#remembered.size >= maxRemembered) this.#remembered.clear();
      this.#remembered.set(field, matches);
    }
    return matches;
  }
}
