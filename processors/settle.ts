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
  readonly #delayMs: number;
  readonly #waiting = new Map<string, Waiting<T>>();
  /** Until then whatever is written could be undone. */
  #unsettledUntilMs: number;

  /** `entries` are those of the snapshot that was restored; `takenOverAtMs` is now. */
  constructor(keyOf: (entry: T) => string, takenOverAtMs: number, sessionTimeoutMs: number, entries: readonly T[]) {
    this.#keyOf = keyOf;
    this.#delayMs = 2 * sessionTimeoutMs;
    this.#unsettledUntilMs = takenOverAtMs + this.#delayMs;
    this.#remember(entries, this.#unsettledUntilMs);
  }

  /** Tells what is about to be written, so that an entry that waits waits with its newest value. */
  writing(entries: readonly T[], nowMs: number): void {
    if (nowMs < this.#unsettledUntilMs) this.#remember(entries, nowMs + this.#delayMs);
    else if (this.#waiting.size > 0) this.#renew(entries);
  }

  /** An attempt to write these failed, and may still arrive. */
  unknownOutcome(entries: readonly T[], nowMs: number): void {
    this.#unsettledUntilMs = Math.max(this.#unsettledUntilMs, nowMs + this.#delayMs);
    this.#remember(entries, nowMs + this.#delayMs);
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

  #remember(entries: readonly T[], dueMs: number): void {
    for (const entry of entries) this.#waiting.set(this.#keyOf(entry), { entry, dueMs });
  }

  #renew(entries: readonly T[]): void {
    for (const entry of entries) {
      const waiting = this.#waiting.get(this.#keyOf(entry));
      if (waiting !== undefined) waiting.entry = entry;
    }
  }
}
