/**
 * The gateway appends a record again when it never heard whether the first append was durable. Both copies carry one
 * `ingest.id`, and the counters of a gateway run rise within a partition: one number per run tells a copy.
 */
import type { StateReader, StateWriter } from './codec.ts';

/** At the bound the run that was silent for the longest is forgotten: a copy of its last records would count as new. */
const maxRuns = 1000;

interface Run {
  highest: number;
  lastSeenMs: number;
}

export class Redelivery {
  readonly #forgetAfterMs: number;
  readonly #runs = new Map<string, Run>();
  /** Records of one run come in rows: spares cutting the id and the look-up. */
  #lastPrefix = '';
  #lastRun: Run | null = null;

  constructor(forgetAfterMs: number) {
    this.#forgetAfterMs = forgetAfterMs;
  }

  /** Whether a record with this `ingest.id` was seen before; remembers it. An id of another form says nothing. */
  isRepeat(ingestId: string, nowMs: number): boolean {
    const dash = ingestId.lastIndexOf('-');
    const counter = counterAt(ingestId, dash + 1);
    if (dash < 1 || counter < 0) return false;
    const run = this.#runOf(ingestId, dash, nowMs);
    run.lastSeenMs = nowMs;
    if (counter <= run.highest) return true;
    run.highest = counter;
    return false;
  }

  #runOf(ingestId: string, dash: number, nowMs: number): Run {
    if (this.#lastRun !== null && dash === this.#lastPrefix.length && ingestId.startsWith(this.#lastPrefix)) {
      return this.#lastRun;
    }
    const name = ingestId.slice(0, dash);
    let run = this.#runs.get(name);
    if (run === undefined) {
      this.#forget(nowMs);
      run = { highest: -1, lastSeenMs: nowMs };
      this.#runs.set(name, run);
    }
    this.#lastPrefix = name;
    this.#lastRun = run;
    return run;
  }

  #forget(nowMs: number): void {
    for (const [name, run] of this.#runs) {
      if (nowMs - run.lastSeenMs >= this.#forgetAfterMs) this.#runs.delete(name);
    }
    if (this.#runs.size < maxRuns) return;
    let [quietest, since] = ['', Number.POSITIVE_INFINITY];
    for (const [name, run] of this.#runs) if (run.lastSeenMs < since) [quietest, since] = [name, run.lastSeenMs];
    this.#runs.delete(quietest);
  }

  save(to: StateWriter): void {
    to.uint(this.#runs.size);
    for (const [name, run] of this.#runs) {
      to.text(name);
      to.uint(run.highest + 1);
      to.double(run.lastSeenMs);
    }
  }

  load(from: StateReader): void {
    for (let left = from.uint(); left > 0; left--) {
      this.#runs.set(from.text(), { highest: from.uint() - 1, lastSeenMs: from.double() });
    }
  }
}

/** The whole number that ends the text, -1 when that is something else. */
function counterAt(text: string, from: number): number {
  if (from >= text.length || text.length - from > 15) return -1;
  let value = 0;
  for (let i = from; i < text.length; i++) {
    const digit = text.charCodeAt(i) - 48;
    if (digit < 0 || digit > 9) return -1;
    value = value * 10 + digit;
  }
  return value;
}
