/** What a device sends, as faults have left it, and what is known of it beforehand. */
import type { Expectation, TruthReading } from '../core/truth.ts';

export interface Message {
  readonly seq: number;
  /** When it was measured: event time by a clock that is right. */
  readonly timeMs: number;
  readonly topic: string;
  readonly payload: string | Buffer;
  /** What a decoder should make of it; `null`: nothing. */
  readonly reading: TruthReading | null;
  /** Labels of the faults in it. */
  readonly faults: readonly string[];
  readonly expect: Expectation;
  /** How often it is sent; 0: it is lost on purpose. */
  readonly copies: number;
  readonly delayMs: number;
  /** It is sent after the next one. */
  readonly isHeldBack: boolean;
  /** It is sent with a wrong password, on another connection. */
  readonly isByIntruder: boolean;
}
