/**
 * The only retry of the processor: an outage of the store or the bus is waited out, with a growing pause, while the
 * group is told that we live. Nothing is dropped, whatever the outage lasts.
 */
import type { Batch } from '../bus/port.ts';
import type { Clock } from '../core/clock.ts';
import { messageOf, SluiceError, StoreUnavailableError } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';

const firstPauseMs = 100;
const longestPauseMs = 5000;

export class Patience {
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #sessionTimeoutMs: number;
  readonly #closing: AbortSignal;
  /** What is waited for now, by partition: readiness is false while there is anything. */
  readonly #problems = new Map<number, string>();

  constructor(clock: Clock, log: Logger, sessionTimeoutMs: number, closing: AbortSignal) {
    this.#clock = clock;
    this.#log = log;
    this.#sessionTimeoutMs = sessionTimeoutMs;
    this.#closing = closing;
  }

  problems(): string[] {
    return [...new Set(this.#problems.values())];
  }

  /** The partition is not ours any more: what it waited for is its next owner's problem. */
  giveUp(partition: number): void {
    this.#problems.delete(partition);
  }

  /**
   * Runs `attempt` until it succeeds; `onFailure` hears of each outage. Rejects with BUS_ASSIGNMENT_LOST when the
   * partition is no longer ours, or when we are closing and the outage goes on: the work is then done by its next owner.
   */
  async until<T>(batch: Batch, what: string, attempt: () => Promise<T>, onFailure: () => void = () => {}): Promise<T> {
    for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(pauseMs * 2, longestPauseMs)) {
      await this.#confirmClaim(batch);
      try {
        const result = await this.#whileAlive(batch, attempt);
        if (this.#problems.delete(batch.partition)) this.#log.info({ partition: batch.partition, what }, 'goes on');
        return result;
      } catch (error) {
        if (!(error instanceof SluiceError) || !error.retriable) throw error;
        onFailure();
        this.#report(batch, what, error);
        const askedMs = error instanceof StoreUnavailableError ? (error.retryAfterMs ?? 0) : 0;
        await this.#pause(batch, Math.max(pauseMs, askedMs));
      }
    }
  }

  /** A write by one who may no longer be the owner could undo that of the next owner. */
  async #confirmClaim(batch: Batch): Promise<void> {
    await batch.heartbeat();
    const ageMs = this.#clock.nowMs() - batch.lastHeartbeatAtMs();
    if (ageMs > this.#sessionTimeoutMs / 2) {
      throw new SluiceError('BUS_ASSIGNMENT_LOST', `the last heartbeat is ${ageMs} ms old`);
    }
  }

  /** A write has no timeout while its connection lives, so the heartbeat goes on beside it. */
  async #whileAlive<T>(batch: Batch, attempt: () => Promise<T>): Promise<T> {
    let lost: unknown = null;
    const stop = this.#clock.every(this.#sessionTimeoutMs / 6, () => {
      batch.heartbeat().catch((error: unknown) => {
        lost = error;
      });
    });
    try {
      const result = await attempt();
      if (lost !== null) throw lost;
      return result;
    } finally {
      stop();
    }
  }

  async #pause(batch: Batch, pauseMs: number): Promise<void> {
    for (let leftMs = pauseMs; leftMs > 0; leftMs -= this.#sessionTimeoutMs / 6) {
      if (this.#closing.aborted) throw new SluiceError('BUS_ASSIGNMENT_LOST', 'closing during an outage');
      await this.#clock.sleep(Math.min(leftMs, this.#sessionTimeoutMs / 6), this.#closing);
      await batch.heartbeat();
    }
  }

  #report(batch: Batch, what: string, error: Error): void {
    const message = `${what}: ${messageOf(error)}`;
    if (this.#problems.get(batch.partition) === message) return;
    this.#problems.set(batch.partition, message);
    this.#log.warn({ partition: batch.partition, what, error: messageOf(error) }, 'waiting for an outage to end');
  }
}
