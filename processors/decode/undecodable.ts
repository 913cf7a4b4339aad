import type { DeadLetterReason } from '../../core/reasons.ts';

/** The message as a whole cannot become readings: it goes to the DLQ. */
export class Undecodable {
  readonly reason: DeadLetterReason;
  /** What is wrong, in words, for whoever looks into the DLQ. */
  readonly error: string;

  constructor(reason: DeadLetterReason, error: string) {
    this.reason = reason;
    this.error = error;
  }
}
