/**
 * How long it takes until a reading can be asked for: of a sample of the acknowledged ones, from when each was to be sent
 * to the first answer of the pipeline's `/api/history` that holds it. It starts to ask at the acknowledgement, so what
 * could be asked for before that counts as of then. Of the devices none knows of it.
 */
import type { Clock } from '../../core/clock.ts';
import { messageOf } from '../../core/errors.ts';
import { Histogram, type Quantiles } from '../histogram.ts';
import type { AcknowledgedReading } from '../simulator.ts';

export interface QueryableResult {
  readonly latencyMs: Quantiles | null;
  readonly sampled: number;
  /** Of these, not seen within a minute, or before the end. */
  readonly unseen: number;
  /** Requests that failed, or were refused. */
  readonly errors: number;
  readonly lastError: string | null;
}

const sampleEveryMs = 200;
/** At the bound no sample is taken: those under way say how bad it is. */
const maxUnderWay = 50;
/** Asked again after a tenth of the time that has passed, and no sooner than this: the resolution. */
const shortestPauseMs = 20;
const giveUpAfterMs = 60_000;
const requestTimeoutMs = 10_000;

export class QueryableProbe {
  readonly #history: URL;
  readonly #clock: Clock;
  readonly #ended = new AbortController();
  readonly #underWay = new Set<Promise<void>>();
  readonly queryableMs = new Histogram();
  #lastSampleMs = Number.NEGATIVE_INFINITY;
  #sampled = 0;
  #unseen = 0;
  #errors = 0;
  #lastError: string | null = null;

  /** `pipeline`: of its HTTP interface, as in `http://127.0.0.1:8080`. */
  constructor(pipeline: string, clock: Clock) {
    this.#history = new URL('api/history', pipeline.endsWith('/') ? pipeline : `${pipeline}/`);
    this.#clock = clock;
  }

  /** Takes the reading into the sample, if it is time for the next. */
  acknowledged(reading: AcknowledgedReading, dueMs: number): void {
    const nowMs = this.#clock.nowMs();
    if (nowMs - this.#lastSampleMs < sampleEveryMs || this.#underWay.size >= maxUnderWay) return;
    const field = Object.keys(reading.fields)[0];
    if (field === undefined || this.#ended.signal.aborted) return;
    this.#lastSampleMs = nowMs;
    this.#sampled++;
    const seeing = this.#see(reading, field, dueMs).finally(() => this.#underWay.delete(seeing));
    this.#underWay.add(seeing);
  }

  /** Waits up to `withinMs` for what is under way; the rest counts as unseen. Idempotent. */
  async close(withinMs = 10_000): Promise<void> {
    const all = Promise.all(this.#underWay);
    await Promise.race([all, this.#clock.sleep(withinMs, this.#ended.signal)]);
    this.#ended.abort();
    await all;
  }

  result(): QueryableResult {
    return {
      latencyMs: this.queryableMs.quantiles(),
      sampled: this.#sampled,
      unseen: this.#unseen,
      errors: this.#errors,
      lastError: this.#lastError,
    };
  }

  async #see({ site, device, timeMs }: AcknowledgedReading, field: string, dueMs: number): Promise<void> {
    const url = new URL(this.#history);
    const range = { from: String(timeMs), to: String(timeMs + 1) };
    url.search = new URLSearchParams({ site, device, field, ...range, limit: '1' }).toString();
    const { signal } = this.#ended;
    while (!signal.aborted && this.#clock.nowMs() - dueMs < giveUpAfterMs) {
      if (await this.#isThere(url)) {
        this.queryableMs.add(this.#clock.nowMs() - dueMs);
        return;
      }
      await this.#clock.sleep(Math.max(shortestPauseMs, (this.#clock.nowMs() - dueMs) / 10), signal);
    }
    this.#unseen++;
  }

  async #isThere(url: URL): Promise<boolean> {
    const signal = AbortSignal.any([this.#ended.signal, AbortSignal.timeout(requestTimeoutMs)]);
    try {
      const response = await fetch(url, { signal });
      if (!response.ok) throw new Error(`${url.pathname} answered ${response.status}`);
      const { points } = (await response.json()) as { points?: readonly unknown[] };
      return Array.isArray(points) && points.length > 0;
    } catch (error) {
      if (this.#ended.signal.aborted) return false;
      this.#errors++;
      this.#lastError = messageOf(error);
      return false;
    }
  }
}
