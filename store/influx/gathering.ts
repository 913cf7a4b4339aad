/**
 * Writes that come in the same turn of the event loop leave in one request: it costs what a hundred points do, here and
 * at the server, and the partitions that a processor takes in one go have a few points each while it keeps up.
 */
import type { Point } from '../port.ts';
import { type RefusedItem, type Send, writeNarrowing } from './narrowing.ts';

/** Of a request that is gathered; a single write may have more. */
export const maxPointsTogether = 5000;

interface Write {
  readonly points: readonly Point[];
  readonly resolve: (refused: RefusedItem[]) => void;
  readonly reject: (reason: unknown) => void;
}

export class Gathering {
  readonly #send: Send<Point>;
  #waiting: Write[] = [];

  constructor(send: Send<Point>) {
    this.#send = send;
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

  /** When points are refused, each write goes by itself: a bad one costs the others this request, and no more. */
  async #request(writes: readonly Write[]): Promise<void> {
    if (writes.length > 1 && (await this.#isSettledBySending(writes))) return;
    for (const { points, resolve, reject } of writes) writeNarrowing(points, this.#send).then(resolve, reject);
  }

  async #isSettledBySending(writes: readonly Write[]): Promise<boolean> {
    try {
      if ((await this.#send(writes.flatMap(({ points }) => points))) !== null) return false;
      for (const { resolve } of writes) resolve([]);
    } catch (error) {
      for (const { reject } of writes) reject(error);
    }
    return true;
  }
}
