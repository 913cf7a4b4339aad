/**
 * Writes that come in the same turn of the event loop leave in one request: it costs what a hundred points do, here and
 * at the server, and the partitions that a processor takes in one go have a few points each while it keeps up.
 */
import type { Point } from '../port.ts';
import type { RefusedItem } from './narrowing.ts';

/** Of a request that is gathered; a single write may have more. */
export const maxPointsTogether = 5000;

/** Resolves to those that can never be written, by rising index. */
export type WritePoints = (points: readonly Point[]) => Promise<readonly RefusedItem[]>;

interface Write {
  readonly points: readonly Point[];
  readonly resolve: (refused: RefusedItem[]) => void;
  readonly reject: (reason: unknown) => void;
}

export class Gathering {
  readonly #writePoints: WritePoints;
  #waiting: Write[] = [];

  constructor(writePoints: WritePoints) {
    this.#writePoints = writePoints;
  }

  /** Resolves to the points of this write that can never be written; rejects when its request does. */
  write(points: readonly Point[]): Promise<RefusedItem[]> {
    const { promise, resolve, reject } = Promise.withResolvers<RefusedItem[]>();
    if (this.#waiting.length === 0) setImmediate(() => this.#leave());
    this.#waiting.push({ points, resolve, reject });
    return promise;
  }

  #leave(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    let together: Write[] = [];
    let count = 0;
    for (const write of waiting) {
      if (together.length > 0 && count + write.points.length > maxPointsTogether) {
        void this.#request(together);
        together = [];
        count = 0;
      }
      together.push(write);
      count += write.points.length;
    }
    void this.#request(together);
  }

  /** Each write gets its own refusals; all wait until those of the others are found. */
  async #request(writes: readonly Write[]): Promise<void> {
    try {
      const refused = await this.#writePoints(writes.flatMap(({ points }) => points));
      let from = 0;
      for (const { points, resolve } of writes) {
        const until = from + points.length;
        const own = refused.filter(({ index }) => index >= from && index < until);
        resolve(own.map((item) => ({ ...item, index: item.index - from })));
        from = until;
      }
    } catch (error) {
      for (const { reject } of writes) reject(error);
    }
  }
}
