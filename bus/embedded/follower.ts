import type { Clock } from '../../core/clock.ts';
import { messageOf } from '../../core/errors.ts';
import type { Logger } from '../../core/log.ts';
import type { BusRecord, Following } from '../port.ts';
import type { Source } from './source.ts';

const MAX_RECORDS = 1_000;
const RETRY_AFTER_MS = 250;

interface FollowerParts {
  readonly topic: string;
  readonly partitionIds: readonly number[];
  readonly onRecords: (records: readonly BusRecord[]) => void;
  readonly source: Source;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Gives all partitions of a topic to one listener, each from a position of its own. */
export class Follower implements Following {
  readonly #parts: FollowerParts;
  readonly #stop = new AbortController();
  #live: Promise<unknown> = Promise.resolve();

  constructor(parts: FollowerParts) {
    this.#parts = parts;
  }

  /** Resolves when every partition has been given up to its `ends`, and goes on by itself. */
  async start(positions: readonly number[], ends: readonly number[]): Promise<void> {
    const reached = await Promise.all(
      positions.map((position, partition) => this.#catchUp(partition, position, ends[partition]!)),
    );
    this.#live = Promise.all(reached.map((position, partition) => this.#goOn(partition, position)));
  }

  async close(): Promise<void> {
    this.#stop.abort();
    await this.#live;
  }

  async #catchUp(partition: number, from: number, end: number): Promise<number> {
    let position = from;
    while (position < end) {
      const { records, nextOffset } = await this.#parts.source.take(this.#wanted(partition, position));
      this.#give(records);
      position = nextOffset;
    }
    return position;
  }

  async #goOn(partition: number, from: number): Promise<void> {
    const { source, topic, clock, log } = this.#parts;
    const { signal } = this.#stop;
    let position = from;
    while (!signal.aborted) {
      try {
        const { records, nextOffset } = await source.next(this.#wanted(partition, position), signal);
        this.#give(records);
        position = nextOffset;
      } catch (error) {
        if (source.ended !== null) return;
        log.warn({ topic, partition, error: messageOf(error) }, 'cannot follow a partition, trying again');
        await clock.sleep(RETRY_AFTER_MS, signal);
      }
    }
  }

  #give(records: readonly BusRecord[]): void {
    if (records.length === 0 || this.#stop.signal.aborted) return;
    try {
      this.#parts.onRecords(records);
    } catch (error) {
      const { topic, log } = this.#parts;
      log.error({ topic, error: messageOf(error) }, 'a follower of the topic threw; it goes on after these records');
    }
  }

  #wanted(partition: number, fromOffset: number) {
    return { partition, partitionId: this.#parts.partitionIds[partition]!, fromOffset, maxRecords: MAX_RECORDS };
  }
}
