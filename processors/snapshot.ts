/**
 * What a snapshot of a partition holds, and its bytes. They are written in slices: the state stands still while its batch
 * is handled, and the process has other partitions, heartbeats and requests to see to.
 */
import { setImmediate } from 'node:timers/promises';
import type { NewRecord } from '../bus/port.ts';
import type { Clock } from '../core/clock.ts';
import type { Point, Series } from '../store/port.ts';
import { StateReader, StateWriter } from './codec.ts';
import type { Topology } from './topology.ts';

export interface Snapshot {
  /** What `Topology.restore` takes. */
  readonly topology: Buffer;
  readonly settlePoints: Point[];
  readonly settleAlerts: NewRecord[];
}

/** A few milliseconds of work. */
const sliceBytes = 256 * 1024;

/**
 * One that took so long is followed by a rest, so that a large state does not cost more than its readings: snapshots take
 * a thirtieth of the time at most.
 */
const longMs = 10;
const restFactor = 29;

/** Of all partitions of a process, one at a time: its buffer grows once. */
export class SnapshotEncoder {
  readonly #clock: Clock;
  readonly #writer = new StateWriter();
  #turn: Promise<unknown> = Promise.resolve();
  #underWay = 0;
  #restUntilMs = Number.NEGATIVE_INFINITY;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** No other is under way, and those before have not taken so much time that the next one can wait. */
  get isFree(): boolean {
    return this.#underWay === 0 && this.#clock.nowMs() >= this.#restUntilMs;
  }

  /** Resolves to bytes of their own. Nothing of what it is given may change before. */
  encode(
    topology: Pick<Topology, 'save'>,
    settlePoints: readonly Point[],
    settleAlerts: readonly NewRecord[],
  ): Promise<Buffer> {
    this.#underWay++;
    const encoding = this.#turn
      .then(() => this.#encode(parts(this.#writer, topology, settlePoints, settleAlerts)))
      .finally(() => {
        this.#underWay--;
      });
    this.#turn = encoding.catch(() => {});
    return encoding;
  }

  async #encode(steps: Generator<void>): Promise<Buffer> {
    const writer = this.#writer;
    writer.clear();
    let [sliceEnd, sliceAtMs, spentMs] = [sliceBytes, this.#clock.nowMs(), 0];
    for (const _ of steps) {
      if (writer.length < sliceEnd) continue;
      spentMs += this.#clock.nowMs() - sliceAtMs;
      await setImmediate();
      sliceEnd = writer.length + sliceBytes;
      sliceAtMs = this.#clock.nowMs();
    }
    const bytes = Buffer.from(writer.finish());
    const endMs = this.#clock.nowMs();
    spentMs += endMs - sliceAtMs;
    if (spentMs >= longMs) this.#restUntilMs = endMs + restFactor * spentMs;
    return bytes;
  }
}

export function readSnapshot(bytes: Buffer): Snapshot {
  const from = new StateReader(bytes);
  const series: Series[] = [];
  const settlePoints = Array.from({ length: from.uint() }, () => readPoint(from, series));
  const settleAlerts = Array.from({ length: from.uint() }, () => readRecord(from));
  return { topology: from.rest(), settlePoints, settleAlerts };
}

function* parts(
  to: StateWriter,
  topology: Pick<Topology, 'save'>,
  settlePoints: readonly Point[],
  settleAlerts: readonly NewRecord[],
): Generator<void> {
  const series = new Map<Series, number>();
  to.uint(settlePoints.length);
  for (const point of settlePoints) yield writePoint(to, point, series);
  to.uint(settleAlerts.length);
  for (const record of settleAlerts) yield writeRecord(to, record);
  yield* topology.save(to);
}

/** A series is written with its first point, and is one object again when it is read. */
function writePoint(to: StateWriter, { series, fields, timeUs, k }: Point, known: Map<Series, number>): void {
  const number = known.get(series) ?? known.size;
  to.uint(number);
  if (number === known.size) {
    known.set(series, number);
    to.json(series);
  }
  to.json(fields);
  to.double(timeUs);
  to.uint(k);
}

function readPoint(from: StateReader, known: Series[]): Point {
  const number = from.uint();
  if (number === known.length) known.push(from.json<Series>());
  return { series: known[number]!, fields: from.json<Point['fields']>(), timeUs: from.double(), k: from.uint() };
}

/** One whose partition follows from its key. */
function writeRecord(to: StateWriter, { key, value, headers, timestampMs }: NewRecord): void {
  to.text(key);
  to.uint(value === null ? 0 : 1);
  if (value !== null) to.bytes(value);
  to.json(headers);
  to.double(timestampMs);
}

function readRecord(from: StateReader): NewRecord {
  const key = from.text();
  // A copy: a part of the snapshot would keep all of it.
  const value = from.uint() === 0 ? null : Buffer.from(from.bytes());
  return { key, value, headers: from.json<NewRecord['headers']>(), timestampMs: from.double() };
}
