/**
 * The messages that wait in a lane, in the order in which they are appended. The turn of a message is when it came, and
 * later by a millisecond for each message and each KiB that its client has waiting. So devices that send as devices do
 * are appended in the order of arrival, also after a stall. One that floods lines up behind the others, by as much as it
 * may hold, and has what they leave.
 */
import type { NewRecord } from '../../bus/port.ts';
import type { Ack, AckQueue } from './acks.ts';
import type { Place } from './records.ts';

/** A turn that is so near has come: who has fewer messages waiting does not flood. */
const nearMs = 100;
/**
 * What a batch may hold of those whose turn is not near, of its limits: the next message must not wait long for it. They
 * get on nevertheless: with a message each millisecond their turn comes.
 */
const earlyPart = 1 / 16;

export interface Batch {
  readonly records: readonly NewRecord[];
  /** Of each record; `null` for one that no client waits for. */
  readonly acks: readonly (Ack | null)[];
}

export interface BatchLimits {
  readonly maxBatchRecords: number;
  readonly maxBatchBytes: number;
}

interface Waiting {
  readonly record: NewRecord;
  readonly ack: Ack | null;
  readonly turnMs: number;
  /** Among those of one turn: who came first. */
  readonly number: number;
}

/** The turn of a message that was taken. Of one client, and of one topic, it never comes before an older one's. */
export function turnOf(nowMs: number, client: AckQueue, place: Place): number {
  const turnMs = Math.max(nowMs + client.messages + client.bytes / 1024, client.turnMs, place.turnMs);
  client.turnMs = turnMs;
  place.turnMs = turnMs;
  return turnMs;
}

export class Turns {
  /** A binary heap: none comes before its parent, which is at half its index. */
  readonly #heap: Waiting[] = [];
  #came = 0;
  /** Of the payloads. */
  bytes = 0;

  get length(): number {
    return this.#heap.length;
  }

  /** Whose turn is next. */
  get first(): NewRecord | null {
    return this.#heap[0]?.record ?? null;
  }

  push(record: NewRecord, ack: Ack | null, turnMs: number): void {
    const heap = this.#heap;
    const waiting = { record, ack, turnMs, number: this.#came++ };
    this.bytes += sizeOf(record);
    let at = heap.length;
    for (; at > 0; at = (at - 1) >> 1) {
      const parent = heap[(at - 1) >> 1]!;
      if (!isBefore(waiting, parent)) break;
      heap[at] = parent;
    }
    heap[at] = waiting;
  }

  /** Takes out the next batch: at least one record, if one waits, and no more than the limits. */
  take({ maxBatchRecords, maxBatchBytes }: BatchLimits, nowMs: number): Batch {
    const records: NewRecord[] = [];
    const acks: (Ack | null)[] = [];
    let bytes = 0;
    for (let next = this.#heap[0]; next !== undefined; next = this.#heap[0]) {
      const size = sizeOf(next.record);
      const part = next.turnMs <= nowMs + nearMs ? 1 : earlyPart;
      const isOver = records.length >= maxBatchRecords * part || bytes + size > maxBatchBytes * part;
      if (isOver && records.length > 0) break;
      records.push(next.record);
      acks.push(next.ack);
      bytes += size;
      this.#removeFirst();
    }
    this.bytes -= bytes;
    return { records, acks };
  }

  #removeFirst(): void {
    const heap = this.#heap;
    const last = heap.pop()!;
    if (heap.length === 0) return;
    let at = 0;
    for (let child = 1; child < heap.length; child = 2 * at + 1) {
      const right = heap[child + 1];
      if (right !== undefined && isBefore(right, heap[child]!)) child++;
      if (!isBefore(heap[child]!, last)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
  }
}

function isBefore(a: Waiting, b: Waiting): boolean {
  return a.turnMs < b.turnMs || (a.turnMs === b.turnMs && a.number < b.number);
}

function sizeOf(record: NewRecord): number {
  return record.value?.length ?? 0;
}
