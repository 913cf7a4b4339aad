/**
 * Passwords against their hashes, off the main thread and few at a time: scrypt is slow on purpose, and a fleet that
 * comes back at once must not take the machine from those who publish. Addresses have their turns, so that many from one
 * do not stand before one from another. Who was right is remembered for a while, so that most of a fleet that comes back
 * costs a hash of a microsecond.
 */
import { createHmac, randomBytes } from 'node:crypto';
import type { Clock } from '../../core/clock.ts';
import { type PasswordHash, verifyPassword } from './password.ts';

/** At the same time. Node's pool has four threads, and the disk needs some of them. */
const maxRunning = 2;
/** Over all addresses: about what is done within the time that a connection has. At the bound the longest line yields. */
const maxWaiting = 200;
/** What was right is taken for right so long after it last was. */
const rememberMs = 24 * 3_600_000;
const maxRemembered = 100_000;

/** `busy`: it was not tried, too many wait. */
export type Verdict = 'right' | 'wrong' | 'busy';

interface Waiting {
  readonly run: () => Promise<void>;
  readonly giveUp: () => void;
}

export class Verifications {
  readonly #clock: Clock;
  readonly #verify: typeof verifyPassword;
  /** Only in this process, so that what is remembered is worth nothing elsewhere. */
  readonly #key = randomBytes(32);
  /** When each was right, the longest ago first. */
  readonly #remembered = new Map<string, number>();
  /** By address; the one whose turn is next comes first. */
  readonly #lines = new Map<string, Waiting[]>();
  #running = 0;
  #waiting = 0;

  constructor(clock: Clock, verify: typeof verifyPassword = verifyPassword) {
    this.#clock = clock;
    this.#verify = verify;
  }

  /** `mayRun` is asked again when its turn has come. */
  async verify(
    password: Buffer,
    hash: PasswordHash,
    address: string,
    mayRun: () => boolean = () => true,
  ): Promise<Verdict> {
    const digest = this.#digest(password, hash);
    if (this.#remembers(digest)) return 'right';
    return new Promise((resolve) => {
      const run = async () => {
        if (!mayRun()) return resolve('busy');
        const isRight = await this.#verify(password, hash).catch(() => false);
        if (isRight) this.#remember(digest);
        resolve(isRight ? 'right' : 'wrong');
      };
      this.#enqueue(address, { run, giveUp: () => resolve('busy') });
    });
  }

  #enqueue(address: string, waiting: Waiting): void {
    const line = this.#lines.get(address) ?? [];
    line.push(waiting);
    this.#lines.set(address, line);
    this.#waiting++;
    if (this.#waiting > maxWaiting) this.#shorten();
    this.#next();
  }

  /** Gives up the newest of the longest line. */
  #shorten(): void {
    let longest: Waiting[] = [];
    for (const line of this.#lines.values()) if (line.length > longest.length) longest = line;
    this.#waiting--;
    longest.pop()!.giveUp();
  }

  #next(): void {
    while (this.#running < maxRunning) {
      const [address, line] = this.#lines.entries().next().value ?? [];
      if (address === undefined || line === undefined) return;
      const waiting = line.shift();
      this.#lines.delete(address);
      if (line.length > 0) this.#lines.set(address, line);
      if (waiting === undefined) continue;
      this.#waiting--;
      this.#running++;
      void waiting.run().finally(() => {
        this.#running--;
        this.#next();
      });
    }
  }

  /** Of the hash too: a password that was changed is another one. */
  #digest(password: Buffer, { text }: PasswordHash): string {
    return createHmac('sha256', this.#key).update(text).update('\0').update(password).digest('base64');
  }

  #remembers(digest: string): boolean {
    const atMs = this.#remembered.get(digest);
    const isFresh = atMs !== undefined && this.#clock.nowMs() - atMs < rememberMs;
    if (isFresh) this.#remember(digest);
    return isFresh;
  }

  #remember(digest: string): void {
    this.#remembered.delete(digest);
    this.#remembered.set(digest, this.#clock.nowMs());
    if (this.#remembered.size > maxRemembered) this.#remembered.delete(this.#remembered.keys().next().value!);
  }
}
