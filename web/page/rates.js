/**
 * Rates from differences of overviews. Roles report once a second and not in step with the server, so a rate spans
 * several seconds; a counter that went back (a role is gone, a new run began) starts afresh instead of showing a fall.
 */
const SPAN_MS = 5_000;
const MINUTE_MS = 60_000;
const KEEP_MS = MINUTE_MS + SPAN_MS;

/** @typedef {import('../api.ts').Totals} Totals */

export class Rates {
  /** @type {{ atMs: number, totals: Totals }[]} */
  #samples = [];

  /** @param {{ atMs: number, totals: Totals }} overview */
  add({ atMs, totals }) {
    const last = this.#samples.at(-1);
    if (last !== undefined && atMs === last.atMs) return;
    if (last !== undefined && atMs < last.atMs) this.#samples = [];
    this.#samples.push({ atMs, totals });
    while ((this.#samples[0]?.atMs ?? atMs) < atMs - KEEP_MS) this.#samples.shift();
  }

  /**
   * Over the last seconds; `null` before two overviews are known.
   * @param {keyof Totals} counter
   */
  perSecond(counter) {
    return this.#rateAt(counter, this.#samples.length - 1, SPAN_MS);
  }

  /**
   * Over the last minute, for what comes in bursts; `null` before a minute is known.
   * @param {keyof Totals} counter
   */
  perMinute(counter) {
    const [first, last] = [this.#samples[0], this.#samples.at(-1)];
    if (first === undefined || last === undefined || last.atMs - first.atMs < MINUTE_MS - 1000) return null;
    const perSecond = this.#rateAt(counter, this.#samples.length - 1, MINUTE_MS);
    return perSecond === null ? null : perSecond * 60;
  }

  /**
   * The last minute, oldest first: how long ago in ms, and the rate then.
   * @param {keyof Totals} counter
   * @returns {{ agoMs: number, perSecond: number }[]}
   */
  lastMinute(counter) {
    const newest = this.#samples.at(-1)?.atMs ?? 0;
    return this.#samples.flatMap(({ atMs }, index) => {
      const perSecond = this.#rateAt(counter, index, SPAN_MS);
      return perSecond === null ? [] : [{ agoMs: newest - atMs, perSecond }];
    });
  }

  /**
   * @param {keyof Totals} counter
   * @param {number} end
   * @param {number} spanMs
   */
  #rateAt(counter, end, spanMs) {
    const last = this.#samples[end];
    if (last === undefined) return null;
    let start = end;
    for (;;) {
      const earlier = this.#samples[start - 1];
      const here = this.#samples[start];
      if (earlier === undefined || here === undefined) break;
      if (last.atMs - earlier.atMs > spanMs + 500 && start < end) break;
      if (earlier.totals[counter] > here.totals[counter]) break;
      start--;
    }
    const first = this.#samples[start];
    if (first === undefined || first === last) return null;
    return ((last.totals[counter] - first.totals[counter]) * 1000) / (last.atMs - first.atMs);
  }
}
