/**
 * InfluxDB names neither the points that it refuses nor, in a mix, all the reasons: which they are is found by halving,
 * and by what it has refused before. A refusal with 422 has already stored the good ones; writing them again changes nothing.
 */
import type { Point, RefusalReason } from '../port.ts';
import type { Suspicion } from './suspicion.ts';

/** An answer that is the points' fault. */
export interface Rejected {
  /** 400: a line is malformed, nothing was written. 422: the good points were written. 413: too much in one request. */
  readonly statusCode: 400 | 413 | 422;
  readonly message: string;
}

/** One write request; resolves to `null` when all are stored. Rejects when it is not the points' fault. */
export type Send = (points: readonly Point[]) => Promise<Rejected | null>;

export interface RefusedItem {
  readonly index: number;
  readonly reason: RefusalReason;
  readonly message: string;
}

interface Item {
  readonly point: Point;
  readonly index: number;
}

const maxMessageLength = 500;

export class Narrowing {
  readonly #send: Send;
  readonly #suspicion: Suspicion;

  constructor(send: Send, suspicion: Suspicion) {
    this.#send = send;
    this.#suspicion = suspicion;
  }

  /**
   * Writes all points, one request at a time; resolves to those that can never be written. Bad ones of kinds that were
   * refused before cost one or two requests more, however many they are; a kind that the server names, a few more the
   * first time; one that it does not name, about 2·log2(n) for each point among n.
   */
  async write(points: readonly Point[]): Promise<RefusedItem[]> {
    const refused: RefusedItem[] = [];
    const items = points.map((point, index) => ({ point, index }));
    await this.#write(items, refused);
    return refused.sort((a, b) => a.index - b.index);
  }

  async #write(items: readonly Item[], refused: RefusedItem[]): Promise<void> {
    for (const part of this.#partsOf(items)) await this.#request(part, refused);
  }

  /** Those that nothing speaks against, in their order; then suspects, by what they are suspected of. */
  #partsOf(items: readonly Item[]): (readonly Item[])[] {
    if (this.#suspicion.isEmpty) return [items];
    const { unsuspected = [], ...suspected } = Object.groupBy(
      items,
      ({ point }) => this.#suspicion.of(point)?.reason ?? 'unsuspected',
    );
    // By time: what is true of a shard or of an age ends somewhere in the row, and halving finds the place.
    const byTime = (part: Item[]) => part.sort((a, b) => a.point.timeUs - b.point.timeUs);
    return [unsuspected, ...Object.values(suspected).map(byTime)].filter(({ length }) => length > 0);
  }

  async #request(items: readonly Item[], refused: RefusedItem[]): Promise<void> {
    const rejected = await this.#send(items.map(({ point }) => point));
    if (rejected === null) return;
    this.#suspicion.learnType(rejected.message);
    if (items.length === 1 || isRefusedWhole(rejected, items.length)) {
      for (const item of items) refused.push(this.#refusalOf(item, rejected));
      return;
    }
    const middle = items.length >> 1;
    await this.#write(items.slice(0, middle), refused);
    await this.#write(items.slice(middle), refused);
  }

  /** The answer tells of the first point of many: of the others, what is known of them says it better. */
  #refusalOf({ point, index }: Item, rejected: Rejected): RefusedItem {
    const reason = reasonOf(rejected);
    if (reason === 'beyond_retention') this.#suspicion.learnAge(point);
    const known = reason === 'type_conflict' ? this.#suspicion.of(point) : null;
    const message = (known?.message ?? rejected.message).slice(0, maxMessageLength);
    return { index, reason, message };
  }
}

/**
 * A backlog that is too old, or a device whose every reading has the wrong type, comes in whole batches. The server may
 * count too few (of several shards it tells of one), never too many.
 */
function isRefusedWhole({ statusCode, message }: Rejected, count: number): boolean {
  return statusCode === 422 && Number(/dropped=(\d+)/.exec(message)?.[1]) === count;
}

function reasonOf({ statusCode, message }: Rejected): RefusalReason {
  if (statusCode === 413 || /too long|too large|max key length exceeded/.test(message)) return 'too_large';
  if (message.includes('field type conflict')) return 'type_conflict';
  if (/(?:outside|beyond) retention policy/.test(message)) return 'beyond_retention';
  return 'invalid_point';
}
