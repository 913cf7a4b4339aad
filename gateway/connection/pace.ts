/**
 * How fast one client may send. It is slowed by not reading its socket, and TCP tells it to wait: nothing is dropped.
 * Counted when it is read, so once per segment and not per message: a segment that is over the rate is taken whole, and
 * the pause after it makes up for that.
 */
import type { GatewayOptions } from '../options.ts';
import { TokenBucket } from '../token-bucket.ts';

export type PaceLimits = Pick<GatewayOptions, 'maxMessagesPerSecond' | 'maxBytesPerSecond'>;

export class Pace {
  readonly #messages: TokenBucket;
  readonly #bytes: TokenBucket;

  constructor({ maxMessagesPerSecond, maxBytesPerSecond }: PaceLimits, nowMs: number) {
    this.#messages = new TokenBucket(maxMessagesPerSecond, nowMs);
    this.#bytes = new TokenBucket(maxBytesPerSecond, nowMs);
  }

  /** So much was read; returns for how long nothing more is to be read, milliseconds. */
  took(packets: number, bytes: number, nowMs: number): number {
    return Math.max(this.#messages.take(packets, nowMs), this.#bytes.take(bytes, nowMs));
  }
}
