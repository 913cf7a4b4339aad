/**
 * Failed logins of an address. A few cost nothing: a person mistypes, one device of a plant has an old password. From
 * then on each answer to that address is later than the one before, right or wrong, and of many that wait the newest are
 * turned away unasked. So a guess costs time, and guessing fast is not guessing more.
 */
import type { Clock } from '../../core/clock.ts';
import { addressKey } from '../entrances/addresses.ts';

/** Doubled by each failure over the limit, up to the longest. */
const firstDelayMs = 100;
const longestDelayMs = 5000;
const maxDoublings = 6;
/** One failure is forgotten in so long. */
const forgetOneMs = 1000;
/** Of one address that wait at the same time. */
const maxWaiting = 8;
/** At the bound the address that failed longest ago is forgotten. */
const maxAddresses = 10_000;

/** `turned away`: the login must not be tried. */
export type Turn = 'at once' | 'waited' | 'turned away';

interface Failures {
  count: number;
  atMs: number;
  waiting: number;
}

export class LoginThrottle {
  readonly #clock: Clock;
  readonly #freeFailures: number;
  /** Whose last failure is longest ago comes first. */
  readonly #addresses = new Map<string, Failures>();
  /** How many logins failed. */
  failed = 0;
  /** How many answers were delayed. */
  delayed = 0;

  /** `freeFailures`: so many of an address cost nothing. */
  constructor(clock: Clock, freeFailures: number) {
    this.#clock = clock;
    this.#freeFailures = freeFailures;
  }

  /** Waits as long as the address has to, unless too many of it do. */
  async wait(address: string): Promise<Turn> {
    const failures = this.#addresses.get(addressKey(address));
    if (failures === undefined) return 'at once';
    const delayMs = this.#delayMs(failures);
    if (delayMs === 0) return 'at once';
    if (failures.waiting >= maxWaiting) return 'turned away';
    failures.waiting++;
    this.delayed++;
    await this.#clock.sleep(delayMs);
    failures.waiting--;
    return 'waited';
  }

  /** Whether the next login of the address would not be tried: then its connection need not be read at all. */
  isTurnedAway(address: string): boolean {
    const failures = this.#addresses.get(addressKey(address));
    return failures !== undefined && failures.waiting >= maxWaiting && this.#delayMs(failures) > 0;
  }

  /** Whether a login of the address that came now would have to wait. */
  isDelayed(address: string): boolean {
    const failures = this.#addresses.get(addressKey(address));
    return failures !== undefined && this.#delayMs(failures) > 0;
  }

  /** A login of the address failed. */
  fail(address: string): void {
    this.failed++;
    const key = addressKey(address);
    const failures = this.#addresses.get(key) ?? { count: 0, atMs: this.#clock.nowMs(), waiting: 0 };
    failures.count = this.#left(failures) + 1;
    failures.atMs = this.#clock.nowMs();
    this.#addresses.delete(key);
    this.#addresses.set(key, failures);
    if (this.#addresses.size > maxAddresses) this.#addresses.delete(this.#addresses.keys().next().value!);
  }

  #delayMs(failures: Failures): number {
    const over = Math.floor(this.#left(failures)) - this.#freeFailures;
    return over < 0 ? 0 : Math.min(longestDelayMs, firstDelayMs * 2 ** over);
  }

  /** What is not forgotten yet; never much more than what the longest delay needs. */
  #left({ count, atMs }: Failures): number {
    const forgotten = Math.max(0, this.#clock.nowMs() - atMs) / forgetOneMs;
    return Math.min(this.#freeFailures + maxDoublings, Math.max(0, count - forgotten));
  }
}
