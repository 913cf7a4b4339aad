/** Whether this process can do its work: each dependency is asked now, within a bounded time. */

import type { Clock } from '../core/clock.ts';
import { within } from '../core/deadline.ts';
import { messageOf } from '../core/errors.ts';

/** Answers younger than this are given again, so that many who ask cost no more than one. */
const freshForMs = 500;

export interface Check {
  readonly ok: boolean;
  readonly tookMs: number;
  /** What is wrong; `null` when ok. */
  readonly error: string | null;
}

/** `GET /readyz`. */
export interface Readiness {
  readonly ready: boolean;
  /** By dependency: `bus`, `store`. */
  readonly checks: Readonly<Record<string, Check>>;
  /** Everything that stands in the way, in words, dependencies included; empty = ready. */
  readonly problems: readonly string[];
}

export type Checks = Readonly<Record<string, () => Promise<void>>>;

export class ReadinessChecks {
  readonly #checks: Checks;
  readonly #problems: () => readonly string[];
  readonly #clock: Clock;
  readonly #answerWithinMs: number;
  /** Questions without an answer: a dependency that hangs is not asked again and again. */
  readonly #open = new Map<string, Promise<void>>();
  #asking: Promise<Readonly<Record<string, Check>>> | null = null;
  #askedAtMs = 0;

  /** A dependency that has not answered after `answerWithinMs` is down. */
  constructor(checks: Checks, problems: () => readonly string[], clock: Clock, answerWithinMs: number) {
    this.#checks = checks;
    this.#problems = problems;
    this.#clock = clock;
    this.#answerWithinMs = answerWithinMs;
  }

  /** Never rejects. */
  async ask(): Promise<Readiness> {
    const nowMs = this.#clock.nowMs();
    if (this.#asking === null || nowMs - this.#askedAtMs >= freshForMs) {
      this.#askedAtMs = nowMs;
      this.#asking = this.#askAll();
    }
    const checks = await this.#asking;
    const down = Object.entries(checks).flatMap(([name, { error }]) => (error === null ? [] : [`${name}: ${error}`]));
    const problems = [...down, ...this.#problems()];
    return { ready: problems.length === 0, checks, problems };
  }

  async #askAll(): Promise<Readonly<Record<string, Check>>> {
    const names = Object.keys(this.#checks);
    return Object.fromEntries(await Promise.all(names.map(async (name) => [name, await this.#askOne(name)] as const)));
  }

  async #askOne(name: string): Promise<Check> {
    const fromMs = this.#clock.nowMs();
    const tookMs = () => this.#clock.nowMs() - fromMs;
    try {
      const tooLate = new Error(`no answer within ${this.#answerWithinMs} ms`);
      await within(this.#clock, this.#answerWithinMs, this.#question(name), tooLate);
      return { ok: true, tookMs: tookMs(), error: null };
    } catch (error) {
      return { ok: false, tookMs: tookMs(), error: messageOf(error) };
    }
  }

  #question(name: string): Promise<void> {
    let open = this.#open.get(name);
    if (open === undefined) {
      open = this.#checks[name]!().finally(() => this.#open.delete(name));
      open.catch(() => {});
      this.#open.set(name, open);
    }
    return open;
  }
}
