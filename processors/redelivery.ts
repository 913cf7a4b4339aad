/**
 * The same message appended twice by its gateway (an append whose answer was lost). Counters of a gateway run rise
 * within a partition, so a counter that does not is a repetition.
 */
export class Redelivery {
  /** Gateway run → highest counter seen, and when (partition clock). Insertion order = order of first sight. */
  readonly #runs = new Map<string, { counter: number; seenMs: number }>();
  readonly #forgetAfterMs: number;
  #lastRun = '';
  #last = { counter: 0, seenMs: 0 };

  constructor(forgetAfterMs: number) {
    this.#forgetAfterMs = forgetAfterMs;
  }

  /** Whether `ingestId` (`RUN-COUNTER`) was seen before. A record without a well-formed id is never a repetition. */
  isRepeated(ingestId: string | undefined, clockMs: number): boolean {
    if (ingestId === undefined) return false;
    const dash = ingestId.lastIndexOf('-');
    const counter = Number(ingestId.slice(dash + 1));
    if (dash < 1 || !Number.isSafeInteger(counter)) return false;
    const known = this.#find(ingestId, dash);
    if (counter <= known.counter) return true;
    known.counter = counter;
    known.seenMs = clockMs;
    return false;
  }

  /** Forgets gateway runs that are long gone. */
  forget(clockMs: number): void {
    for (const [run, { seenMs }] of this.#runs) {
      if (clockMs - seenMs > this.#forgetAfterMs) this.#runs.delete(run);
    }
    this.#lastRun = '';
  }

  state(): [string, number, number][] {
    return [...this.#runs].map(([run, { counter, seenMs }]) => [run, counter, seenMs]);
  }

  restore(state: readonly [string, number, number][]): void {
    for (const [run, counter, seenMs] of state) this.#runs.set(run, { counter, seenMs });
  }

  #find(ingestId: string, dash: number): { counter: number; seenMs: number } {
    if (dash === this.#lastRun.length && ingestId.startsWith(this.#lastRun)) return this.#last;
    const run = ingestId.slice(0, dash);
    let known = this.#runs.get(run);
    if (known === undefined) {
      known = { counter: -1, seenMs: 0 };
      this.#runs.set(run, known);
    }
    this.#lastRun = run;
    this.#last = known;
    return known;
  }
}
