/**
 * Which event time it is. A run may begin in the past and pass it faster than the clock does, until it has caught up;
 * from then on event time is the clock. So it is never ahead of the clock, where a receiver would have to reject it.
 */
export interface TimelineSettings {
  /** When the run starts, by the clock. */
  readonly startMs: number;
  /** How long before that its event time starts. */
  readonly backfillMs: number;
  /**
   * Event time per time of the clock while there is a past to send. `Infinity`: as fast as it is taken; 1 or less: the
   * past is never over.
   */
  readonly speed: number;
}

export class Timeline {
  /** Of event time. */
  readonly startMs: number;
  readonly #wallStartMs: number;
  readonly #speed: number;
  /** From here on event time is the clock. */
  readonly #caughtUpMs: number;

  constructor({ startMs, backfillMs, speed }: TimelineSettings) {
    this.startMs = startMs - backfillMs;
    this.#wallStartMs = startMs;
    this.#speed = speed;
    if (backfillMs === 0) this.#caughtUpMs = startMs;
    else this.#caughtUpMs = speed > 1 ? startMs + backfillMs / (speed - 1) : Number.POSITIVE_INFINITY;
  }

  /** Whether the event time is of the past that is caught up with. */
  isPast(eventMs: number): boolean {
    return eventMs < this.#caughtUpMs;
  }

  /** When, by the clock, an event time is due. */
  wallMsOf(eventMs: number): number {
    return this.isPast(eventMs) ? this.#wallStartMs + (eventMs - this.startMs) / this.#speed : eventMs;
  }
}
