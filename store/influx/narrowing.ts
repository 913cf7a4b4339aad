/**
 * InfluxDB names neither the points that it refuses nor, in a mix, all the reasons: which they are is found by halving.
 * A refusal with 422 has already stored the good ones; writing them again changes nothing.
 */
import type { RefusalReason } from '../port.ts';

/** An answer that is the points' fault. */
export interface Rejected {
  /** 400: a line is malformed, nothing was written. 422: the good points were written. 413: too much in one request. */
  readonly statusCode: 400 | 413 | 422;
  readonly message: string;
}

/** One write request; resolves to `null` when all are stored. Rejects when it is not the points' fault. */
export type Send<Item> = (items: readonly Item[]) => Promise<Rejected | null>;

export interface RefusedItem {
  readonly index: number;
  readonly reason: RefusalReason;
  readonly message: string;
}

const maxMessageLength = 500;

/**
 * Writes all items, one request at a time, in their order; resolves to those that can never be written. A single bad
 * one among n costs about 2·log2(n) requests more; a batch that is refused as a whole costs none.
 */
export async function writeNarrowing<Item>(items: readonly Item[], send: Send<Item>): Promise<RefusedItem[]> {
  const rejected = await send(items);
  if (rejected === null) return [];
  if (items.length === 1 || isRefusedWhole(rejected, items.length)) {
    const message = rejected.message.slice(0, maxMessageLength);
    return items.map((_, index) => ({ index, reason: reasonOf(rejected), message }));
  }
  const middle = items.length >> 1;
  const first = await writeNarrowing(items.slice(0, middle), send);
  const second = await writeNarrowing(items.slice(middle), send);
  return [...first, ...second.map((item) => ({ ...item, index: item.index + middle }))];
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
