/**
 * An older write never wins. A write of the former owner of a partition, or one of ours whose answer never came, may
 * still arrive after ours and undo it. What could be undone is remembered here with its newest value and written once
 * more when no such write can be under way any longer: two session timeouts later.
 */

/** At most so many entries; at the bound the oldest are due at once. */
const maxEntries = 20_000;

interface Waiting<T> {
  entry: T;
  readonly dueMs: number;
}

export class SettleList<T> {
  readonly #keyOf: (entry: T) => string;
  readonly #canBeUndone: (entry: T) => boolean;
  readonly #delayMs: number;
  readonly #waiting = new Map<string, Waiting<T>>();
  /** Until then whatever is written could be undone. */
  #unsettledUntilMs: number;

  /** `entries` are those of the snapshot that was restored; `takenOverAtMs` is now. */
  constructor(
    { keyOf, canBeUndone }: { keyOf: (entry: T) => string; canBeUndone: (entry: T) => boolean },
    takenOverAtMs: number,
    sessionTimeoutMs: number,
    entries: readonly T[],
  ) {
    this.#keyOf = keyOf;
    this.#canBeUndone = canBeUndone;
    this.#delayMs = 2 * sessionTimeoutMs;
    this.#unsettledUntilMs = takenOverAtMs + this.#delayMs;
    for (const entry of entries) this.#waiting.set(keyOf(entry), { entry, dueMs: this.#unsettledUntilMs });
  }

  /** Tells what is about to be written, so that an entry that waits waits with its newest value. */
  writing(entries: readonly T[], nowMs: number): void {
    this.#take(entries, nowMs < this.#unsettledUntilMs ? nowMs + this.#delayMs : null);
  }

  /** An attempt to write these failed, and may still arrive. */
  unknownOutcome(entries: readonly T[], nowMs: number): void {
    this.#unsettledUntilMs = Math.max(this.#unsettledUntilMs, nowMs + this.#delayMs);
    this.#take(entries, nowMs + this.#delayMs);
  }

  /** What is to be written once more now; `settled` forgets it. */
  due(nowMs: number): T[] {
    const due: T[] = [];
    for (const { entry, dueMs } of this.#waiting.values()) {
      if (dueMs <= nowMs || this.#waiting.size - due.length > maxEntries) due.push(entry);
    }
    return due;
  }

  settled(entries: readonly T[]): void {
    for (const entry of entries) {
      const key = this.#keyOf(entry);
      if (this.#waiting.get(key)?.entry === entry) this.#waiting.delete(key);
    }
  }

  entries(): T[] {
    return [...this.#waiting.values()].map(({ entry }) => entry);
  }

  /** `dueMs`: of those that can be undone, `null` when none can. Whatever waits already has its newest value from now on. */
  #take(entries: readonly T[], dueMs: number | null): void {
    for (const entry of entries) {
      const isKept = dueMs !== null && this.#canBeUndone(entry);
      if (!isKept && this.#waiting.size === 0) continue;
      const key = this.#keyOf(entry);
      const waiting = this.#waiting.get(key);
      if (isKept) this.#waiting.set(key, { entry, dueMs });
      else if (waiting !== undefined) waiting.entry = entry;
    }
  }
}
