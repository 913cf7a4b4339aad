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

/** One write request; resolves to `null` when all lines are stored. Rejects when it is not the points' fault. */
export type SendLines = (lines: readonly string[]) => Promise<Rejected | null>;

export interface RefusedLine {
  readonly index: number;
  readonly reason: RefusalReason;
  readonly message: string;
}

const maxMessageLength = 500;

/**
 * Writes all lines, one request at a time, in their order; resolves to those that can never be written. A single bad
 * line among n costs about 2·log2(n) requests more; a batch that is refused as a whole costs none.
 */
export async function writeNarrowing(lines: readonly string[], send: SendLines): Promise<RefusedLine[]> {
  const rejected = await send(lines);
  if (rejected === null) return [];
  if (lines.length === 1 || isRefusedWhole(rejected, lines.length)) {
    const message = rejected.message.slice(0, maxMessageLength);
    return lines.map((_, index) => ({ index, reason: reasonOf(rejected), message }));
  }
  const middle = lines.length >> 1;
  const first = await writeNarrowing(lines.slice(0, middle), send);
  const second = await writeNarrowing(lines.slice(middle), send);
  return [...first, ...second.map((line) => ({ ...line, index: line.index + middle }))];
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
