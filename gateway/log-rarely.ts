/** What clients do wrong comes as often as clients like: one line per kind and minute, with how many there were. */
import type { Clock } from '../core/clock.ts';
import type { Logger } from '../core/log.ts';

const everyMs = 60_000;

export class RareLog {
  readonly #log: Logger;
  readonly #clock: Clock;
  readonly #kinds = new Map<string, { saidAtMs: number; since: number }>();

  constructor(log: Logger, clock: Clock) {
    this.#log = log;
    this.#clock = clock;
  }

  /** `message` is the kind: a fixed text, so that there are few. */
  warn(fields: object, message: string): void {
    const nowMs = this.#clock.nowMs();
    const kind = this.#kinds.get(message);
    if (kind !== undefined && nowMs - kind.saidAtMs < everyMs) {
      kind.since++;
      return;
    }
    this.#kinds.set(message, { saidAtMs: nowMs, since: 0 });
    this.#log.warn({ ...fields, before: kind?.since ?? 0 }, message);
  }
}
