/**
 * What the processor of a partition still has in hand, and may write again: windows that its newest snapshot has not
 * settled, also after a crash, from which it goes on with that snapshot; and points that it has yet to write once more.
 */
import type { Bus, Committed } from '../../bus/port.ts';
import type { TopicNames } from '../../core/topics.ts';
import type { Point } from '../../store/port.ts';
import type { ProcessingOptions } from '../options.ts';
import { pointKey } from '../points.ts';
import { readSnapshot } from '../snapshot.ts';
import { decodeNote, SnapshotTopic } from '../state.ts';
import { Topology } from '../topology.ts';

const readRecords = 5000;

export interface Held {
  /** Windows of a device, by its key, that end by then are out of its hands, microseconds. */
  settledUs(key: string): number;
  /** It will write the point once more. */
  willWrite(point: Point): boolean;
}

/** Throws STATE_UNREADABLE. `tell` hears of a snapshot that cannot be read while the one before it can. */
export async function readHeld(
  { bus, topics, options }: { readonly bus: Bus; readonly topics: TopicNames; readonly options: ProcessingOptions },
  partition: number,
  committed: Committed | null,
  tell: (text: string) => void,
): Promise<Held> {
  if (committed === null) {
    // Whoever processes it begins with its first record, and writes everything anew.
    const { records } = await bus.read(topics.raw, partition, 0, 1);
    const settledUs = records.length === 0 ? Number.POSITIVE_INFINITY : Number.NEGATIVE_INFINITY;
    return { settledUs: () => settledUs, willWrite: () => false };
  }
  const snapshots = new SnapshotTopic(bus, topics.processorState, partition);
  const { used, bytes } = await snapshots.read(decodeNote(committed.metadata), ({ message }) => tell(message));
  const { topology: state, settlePoints } = readSnapshot(bytes);
  const topology = new Topology(options, [], used.offset);
  topology.restore(state);
  // No more than this is kept of it.
  const settled = new Map(Array.from(topology.devices, ([key, device]) => [key, device.settledUs]));
  const waiting = new Set(settlePoints.map(pointKey));
  const begun = await devicesSince(bus, topics.raw, partition, used.offset);
  return {
    // Of a device that is neither in the snapshot nor in what came since nobody has anything.
    settledUs: (key) => settled.get(key) ?? (begun.has(key) ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY),
    willWrite: (point) => waiting.size > 0 && waiting.has(pointKey(point)),
  };
}

async function devicesSince(bus: Bus, topic: string, partition: number, offset: number): Promise<Set<string>> {
  const keys = new Set<string>();
  for (let next = offset; ; ) {
    const { records, endOffset } = await bus.read(topic, partition, next, readRecords);
    for (const { key } of records) keys.add(key);
    next = records.length === 0 ? endOffset : records.at(-1)!.offset + 1;
    if (next >= endOffset) return keys;
  }
}
