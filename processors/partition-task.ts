/**
 * One raw partition: carries records into its topology and outputs out of it, in the commit order of design §6. A crash
 * between any two steps repeats only effects that are idempotent.
 */
import type { Batch, Bus, NewRecord } from '../bus/port.ts';
import type { Clock } from '../core/clock.ts';
import { isSluiceError, messageOf, RecordsRefusedError, SluiceError } from '../core/errors.ts';
import { count } from '../core/ledger.ts';
import type { Logger } from '../core/log.ts';
import type { PartitionStatus } from '../core/status.ts';
import type { TopicNames } from '../core/topics.ts';
import type { Point, Store } from '../store/port.ts';
import type { ProcessorOptions } from './options.ts';
import type { Patience } from './patience.ts';
import { alertPoint, newestPoints, pointKey } from './points.ts';
import { alertRecord, alertStateRecords, deadLetterRecord, lateRecord } from './records.ts';
import type { Rule } from './rules/file.ts';
import { SettleList } from './settle.ts';
import { decodeNote, encodeNote, type SnapshotRef, SnapshotTopic } from './state.ts';
import { Topology } from './topology.ts';

export interface TaskContext {
  readonly bus: Bus;
  readonly store: Store;
  readonly topics: TopicNames;
  readonly rules: readonly Rule[];
  readonly options: ProcessorOptions;
  /** Unique per run: snapshot ids begin with it. */
  readonly instance: string;
  readonly patience: Patience;
  readonly counters: TaskCounters;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Of all tasks of this run. */
export interface TaskCounters {
  pointsWritten: number;
  rollupsWritten: number;
  alertsRaised: number;
}

interface Snapshot {
  /** What `Topology.snapshot` gave. */
  readonly topology: Buffer;
  readonly settlePoints: Point[];
  readonly settleAlerts: NewRecord[];
}

/** What is in memory for the partition while it is ours. */
interface Memory {
  readonly topology: Topology;
  readonly points: SettleList<Point>;
  readonly alertStates: SettleList<NewRecord>;
  /** Offset after the last record whose outputs are out. */
  position: number;
  /** The snapshot that the newest commit names. */
  committed: SnapshotRef | null;
  /** The one before, kept to fall back to. */
  previous: SnapshotRef | null;
  snapshotAtMs: number;
}

export class PartitionTask {
  readonly #partition: number;
  readonly #context: TaskContext;
  readonly #snapshots: SnapshotTopic;
  #memory: Memory | null = null;
  #snapshotCount = 0;
  #endOffset = 0;

  constructor(partition: number, context: TaskContext) {
    this.#partition = partition;
    this.#context = context;
    this.#snapshots = new SnapshotTopic(context.bus, context.topics.processorState);
  }

  status(): PartitionStatus | null {
    if (this.#memory === null) return null;
    const { position, topology } = this.#memory;
    return { position, endOffset: this.#endOffset, clockMs: topology.clockMs, ledger: topology.ledger };
  }

  get deviceCount(): number {
    return this.#memory?.topology.deviceCount ?? 0;
  }

  /** Handles one batch. After a rejection nothing of it is kept in memory: a later assignment starts from the commit. */
  async handle(batch: Batch): Promise<void> {
    try {
      this.#endOffset = batch.endOffset;
      const memory = await this.#takeOver(batch);
      if (memory === null) return;
      this.#process(memory, batch);
      await this.#flush(memory, batch);
      if (this.#isSnapshotDue(memory, batch)) await this.#snapshot(memory, batch);
    } catch (error) {
      this.#memory = null;
      throw error;
    }
  }

  /** The state to go on from, or `null` when the batch has to be read again from an earlier offset. */
  async #takeOver(batch: Batch): Promise<Memory | null> {
    if (batch.assignment === null) return this.#memory;
    const { committed } = batch.assignment;
    if (committed === null) {
      this.#memory = this.#fresh(batch.records[0]?.offset ?? 0);
    } else {
      const note = decodeNote(committed.metadata);
      // Ours is the newest commit, and every output up to our position is out: nobody can know more than we do.
      const isOurs = this.#memory !== null && this.#memory.committed?.id === note.current.id;
      if (!isOurs) this.#memory = await this.#restore(note.current, note.previous);
    }
    return this.#skipTo(this.#memory!, batch);
  }

  #skipTo(memory: Memory, batch: Batch): Memory | null {
    const first = batch.records[0]?.offset ?? memory.position;
    if (first > memory.position && batch.assignment?.committed?.offset !== memory.position) {
      batch.seek(memory.position);
      return null;
    }
    return memory;
  }

  #fresh(position: number): Memory {
    return this.#memoryOf(new Topology(this.#context.options, this.#context.rules, position), position, [], []);
  }

  async #restore(current: SnapshotRef, previous: SnapshotRef | null): Promise<Memory> {
    const { log, options, rules } = this.#context;
    let used = current;
    let snapshot: Snapshot;
    try {
      snapshot = (await this.#snapshots.read(this.#partition, current)) as Snapshot;
    } catch (error) {
      if (!isSluiceError(error, 'STATE_UNREADABLE') || previous === null) throw error;
      log.error({ partition: this.#partition, error: messageOf(error) }, 'falling back to the snapshot before');
      used = previous;
      snapshot = (await this.#snapshots.read(this.#partition, previous)) as Snapshot;
    }
    const topology = new Topology(options, rules, used.offset);
    topology.restore(snapshot.topology);
    const memory = this.#memoryOf(topology, used.offset, snapshot.settlePoints, snapshot.settleAlerts);
    memory.committed = used;
    memory.previous = used === current ? previous : null;
    return memory;
  }

  #memoryOf(topology: Topology, position: number, points: Point[], alertStates: NewRecord[]): Memory {
    const nowMs = this.#context.clock.nowMs();
    const { sessionTimeoutMs } = this.#context.options;
    return {
      topology,
      points: new SettleList(pointKey, nowMs, sessionTimeoutMs, points),
      alertStates: new SettleList(({ key }: NewRecord) => key, nowMs, sessionTimeoutMs, alertStates),
      position,
      committed: null,
      previous: null,
      snapshotAtMs: nowMs,
    };
  }

  #process(memory: Memory, batch: Batch): void {
    const { topology } = memory;
    for (const record of batch.records) {
      const expected = topology.ledger.nextOffset;
      if (record.offset < expected) continue;
      if (record.offset > expected) this.#reportGap(memory, expected, record.offset);
      topology.process(record);
    }
  }

  /** Records that were deleted before we came to them: lost to the retention of the raw topic, and never silently. */
  #reportGap(memory: Memory, expected: number, found: number): void {
    this.#context.log.error(
      { partition: this.#partition, from: expected, to: found - 1 },
      'raw records were deleted before they were processed: give the raw topic a longer retention',
    );
    memory.topology.ledger.firstOffset += found - expected;
  }

  /** Outputs leave with their batch: points first, then alerts, late readings and dead letters. */
  async #flush(memory: Memory, batch: Batch): Promise<void> {
    await this.#writePoints(memory, batch);
    await this.#appendRecords(memory, batch);
    memory.topology.outputs.clear();
    memory.position = memory.topology.ledger.nextOffset;
  }

  async #writePoints(memory: Memory, batch: Batch): Promise<void> {
    const { outputs, ledger } = memory.topology;
    const { store, clock, patience, counters } = this.#context;
    const raw = outputs.raw.map(({ point }) => point);
    const rollups = newestPoints(outputs.rollups);
    memory.points.writing(rollups, clock.nowMs());
    const again = memory.points.due(clock.nowMs());
    const alerts = outputs.alerts.map(({ alert, timeUs }) => alertPoint(alert, timeUs));
    const points = [...raw, ...rollups, ...alerts, ...again];
    if (points.length > 0) {
      await this.#checkClaim(batch);
      const refusals = await patience.until(
        batch,
        'store',
        () => store.write(points),
        () => memory.points.unknownOutcome(rollups, clock.nowMs()),
      );
      for (const { index, reason, message } of refusals) {
        const refused = outputs.raw[index];
        if (refused !== undefined) {
          count(ledger.refused, reason);
          const { source, index: reading } = refused;
          outputs.deadLetters.push({ source, reason: `refused_${reason}`, error: message, index: reading });
        } else {
          const point = points[index]!;
          this.#context.log.error({ series: point.series, reason, message }, 'the store refuses a point of ours');
        }
      }
      ledger.stored += raw.length - refusals.filter(({ index }) => index < raw.length).length;
      memory.points.settled(again);
    }
    counters.pointsWritten += raw.length;
    counters.rollupsWritten += rollups.length;
  }

  async #appendRecords(memory: Memory, batch: Batch): Promise<void> {
    const { topics, clock, counters } = this.#context;
    const { outputs } = memory.topology;
    const states = outputs.alerts.flatMap(alertStateRecords);
    memory.alertStates.writing(states, clock.nowMs());
    const again = memory.alertStates.due(clock.nowMs());
    await this.#append(batch, topics.alerts, outputs.alerts.map(alertRecord));
    await this.#append(batch, topics.alertsState, [...states, ...again]);
    await this.#append(
      batch,
      topics.late,
      outputs.late.map((late) => lateRecord(topics.raw, late)),
    );
    await this.#append(
      batch,
      topics.dlq,
      outputs.deadLetters.map((letter) => deadLetterRecord(topics.raw, letter)),
    );
    memory.alertStates.settled(again);
    counters.alertsRaised += outputs.alerts.filter(({ alert }) => alert.status === 'firing').length;
  }

  async #append(batch: Batch, topic: string, records: readonly NewRecord[]): Promise<void> {
    if (records.length === 0) return;
    const { bus, patience, log } = this.#context;
    await patience.until(batch, 'bus', async () => {
      try {
        await bus.append(topic, records);
      } catch (error) {
        if (!(error instanceof RecordsRefusedError)) throw error;
        log.error({ topic, refused: error.refused.length, error: error.message }, 'the bus refuses records of ours');
      }
    });
  }

  /** A write by one who may no longer be the owner could undo that of the next owner. */
  async #checkClaim(batch: Batch): Promise<void> {
    await batch.heartbeat();
    const ageMs = this.#context.clock.nowMs() - batch.lastHeartbeatAtMs();
    if (ageMs > this.#context.options.sessionTimeoutMs / 2) {
      throw new SluiceError('BUS_ASSIGNMENT_LOST', `the last heartbeat is ${ageMs} ms old`);
    }
  }

  #isSnapshotDue(memory: Memory, batch: Batch): boolean {
    const { options, clock } = this.#context;
    const records = memory.position - (memory.committed?.offset ?? memory.topology.ledger.firstOffset);
    if (records === 0 && memory.committed !== null) return false;
    return (
      batch.closing ||
      records >= options.snapshotEveryRecords ||
      clock.nowMs() - memory.snapshotAtMs >= options.snapshotEveryMs
    );
  }

  /** Snapshot, then the commit that makes it count, then what no longer counts goes. */
  async #snapshot(memory: Memory, batch: Batch): Promise<void> {
    const { instance, clock, patience } = this.#context;
    const nowMs = clock.nowMs();
    const state: Snapshot = {
      topology: memory.topology.snapshot(),
      settlePoints: memory.points.entries(),
      settleAlerts: memory.alertStates.entries(),
    };
    const id = `${instance}-${this.#partition}-${++this.#snapshotCount}`;
    const ref = await patience.until(batch, 'bus', () =>
      this.#snapshots.write(this.#partition, id, memory.position, state, nowMs),
    );
    await patience.until(batch, 'bus', () =>
      batch.commit(memory.position, encodeNote({ current: ref, previous: memory.committed })),
    );
    const obsolete = memory.previous;
    memory.previous = memory.committed;
    memory.committed = ref;
    memory.snapshotAtMs = nowMs;
    if (obsolete !== null) {
      await patience.until(batch, 'bus', () => this.#snapshots.remove(this.#partition, obsolete, nowMs));
    }
  }
}
