/**
 * One raw partition: carries records into its topology and outputs out of it, in the commit order of design §6. A crash
 * between any two steps repeats only effects that are idempotent.
 */
import type { Batch, Bus, NewRecord } from '../bus/port.ts';
import type { Clock } from '../core/clock.ts';
import { RecordsRefusedError, SluiceError } from '../core/errors.ts';
import { count, type PartitionLedger } from '../core/ledger.ts';
import type { Logger } from '../core/log.ts';
import type { PartitionStatus, SkewedDevice } from '../core/status.ts';
import type { TopicNames } from '../core/topics.ts';
import type { Point, Refusal, Store } from '../store/port.ts';
import type { ProcessorOptions } from './options.ts';
import type { Patience } from './patience.ts';
import { alertPoint, isRevised, newestPoints, pointKey } from './points.ts';
import { alertRecord, alertStateRecords, deadLetterRecord, lateRecord, readingRecord } from './records.ts';
import type { Rule } from './rules/file.ts';
import { SettleList } from './settle.ts';
import type { SkewLog } from './skew-log.ts';
import { readSnapshot, type SnapshotEncoder } from './snapshot.ts';
import { type CommitNote, decodeNote, encodeNote, type SnapshotRef, SnapshotTopic } from './state.ts';
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
  readonly skewLog: SkewLog;
  readonly snapshots: SnapshotEncoder;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Of all tasks of this run. */
export interface TaskCounters {
  pointsWritten: number;
  rollupsWritten: number;
  alertsRaised: number;
}

/** What is in memory for the partition while it is ours. */
interface Memory {
  readonly topology: Topology;
  readonly points: SettleList<Point>;
  readonly alertStates: SettleList<NewRecord>;
  /** Offset after the last record whose outputs are out, and the ledger of that moment. */
  position: number;
  ledger: PartitionLedger;
  /** The snapshot that the newest commit names. */
  committed: SnapshotRef | null;
  /** The one before, kept to fall back to. */
  previous: SnapshotRef | null;
  snapshotAtMs: number;
}

const ofRecords = { keyOf: ({ key }: NewRecord) => key, canBeUndone: () => true };

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
    this.#snapshots = new SnapshotTopic(context.bus, context.topics.processorState, partition);
  }

  status(): PartitionStatus | null {
    if (this.#memory === null) return null;
    const { position, topology, ledger } = this.#memory;
    return { position, endOffset: this.#endOffset, clockMs: topology.clockMs, ledger };
  }

  get deviceCount(): number {
    return this.#memory?.topology.deviceCount ?? 0;
  }

  get skewed(): readonly SkewedDevice[] {
    return this.#memory?.topology.clocks.list() ?? [];
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
      this.#context.patience.giveUp(this.#partition);
      throw error;
    }
  }

  /** The state to go on from; `null` when there is nothing to do, or the batch has to be read again from another offset. */
  async #takeOver(batch: Batch): Promise<Memory | null> {
    if (batch.assignment === null) {
      if (this.#memory === null && !batch.closing) {
        throw new SluiceError('BUS_ASSIGNMENT_LOST', 'a batch of an assignment that was given up');
      }
      return this.#memory;
    }
    const { committed } = batch.assignment;
    if (committed === null) {
      this.#memory = this.#fresh(batch.records[0]?.offset ?? 0);
    } else {
      const note = decodeNote(committed.metadata);
      // Ours is the newest commit, and every output up to our position is out: nobody can know more than we do.
      const isOurs = this.#memory !== null && this.#memory.committed?.id === note.current.id;
      if (!isOurs) this.#memory = await this.#restore(note, batch);
    }
    return this.#skipTo(this.#memory!, batch);
  }

  /** `null` and a seek when nothing of the batch is what comes next. What was deleted before we came is not waited for. */
  #skipTo(memory: Memory, batch: Batch): Memory | null {
    const { position } = memory;
    const first = batch.records[0]?.offset ?? position;
    const end = (batch.records.at(-1)?.offset ?? position - 1) + 1;
    const isDeleted = first > position && batch.assignment?.committed?.offset === position;
    if (end >= position && (first <= position || isDeleted)) return memory;
    batch.seek(position);
    return null;
  }

  #fresh(position: number): Memory {
    return this.#memoryOf(new Topology(this.#context.options, this.#context.rules, position), position, [], []);
  }

  async #restore(note: CommitNote, batch: Batch): Promise<Memory> {
    const { log, options, rules, patience } = this.#context;
    const { used, bytes } = await patience.until(batch, 'bus', () =>
      this.#snapshots.read(note, ({ message }) =>
        log.error({ partition: this.#partition, error: message }, 'falling back to the snapshot before'),
      ),
    );
    const snapshot = readSnapshot(bytes);
    const topology = new Topology(options, rules, used.offset);
    topology.restore(snapshot.topology);
    const memory = this.#memoryOf(topology, used.offset, snapshot.settlePoints, snapshot.settleAlerts);
    memory.committed = used;
    memory.previous = used === note.current ? note.previous : null;
    return memory;
  }

  #memoryOf(topology: Topology, position: number, points: Point[], alertStates: NewRecord[]): Memory {
    const nowMs = this.#context.clock.nowMs();
    const { sessionTimeoutMs } = this.#context.options;
    return {
      topology,
      points: new SettleList({ keyOf: pointKey, canBeUndone: isRevised }, nowMs, sessionTimeoutMs, points),
      alertStates: new SettleList(ofRecords, nowMs, sessionTimeoutMs, alertStates),
      position,
      ledger: structuredClone(topology.ledger),
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

  /** Outputs leave with their batch: points first, then alerts, late readings, all readings if asked for, dead letters. */
  async #flush(memory: Memory, batch: Batch): Promise<void> {
    await this.#writePoints(memory, batch);
    await this.#appendRecords(memory, batch);
    this.#context.skewLog.found(memory.topology.outputs.skewed);
    memory.topology.outputs.clear();
    memory.position = memory.topology.ledger.nextOffset;
    memory.ledger = structuredClone(memory.topology.ledger);
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
      const refusals = await patience.until(
        batch,
        'store',
        () => store.write(points),
        () => memory.points.unknownOutcome(rollups, clock.nowMs()),
      );
      memory.points.settled(again);
      const refused = this.#takeRefusals(memory.topology, refusals, points);
      ledger.stored += raw.length - refused;
    }
    counters.pointsWritten += raw.length;
    counters.rollupsWritten += rollups.length;
  }

  /** A refused reading goes to the DLQ with its message; of our own points only the log can tell. Returns how many readings. */
  #takeRefusals({ outputs, ledger }: Topology, refusals: readonly Refusal[], points: readonly Point[]): number {
    const own: Refusal[] = [];
    for (const refusal of refusals) {
      const refused = outputs.raw[refusal.index];
      if (refused === undefined) {
        own.push(refusal);
        continue;
      }
      count(ledger.refused, refusal.reason);
      const { source, index } = refused;
      outputs.deadLetters.push({ source, reason: `refused_${refusal.reason}`, error: refusal.message, index });
    }
    if (own.length > 0) {
      const { index, reason, message } = own[0]!;
      const first = { series: points[index]!.series, reason, message };
      this.#context.log.error({ count: own.length, first }, 'the store refuses rollups or alerts of ours');
    }
    return refusals.length - own.length;
  }

  async #appendRecords(memory: Memory, batch: Batch): Promise<void> {
    const { topics, options, clock, counters } = this.#context;
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
    if (options.readings) {
      await this.#append(
        batch,
        topics.readings,
        outputs.raw.map((raw) => readingRecord(topics.raw, raw)),
      );
    }
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

  #isSnapshotDue(memory: Memory, batch: Batch): boolean {
    const { options, clock, snapshots } = this.#context;
    const records = memory.position - (memory.committed?.offset ?? memory.topology.ledger.firstOffset);
    if (records === 0 && memory.committed !== null) return false;
    if (batch.closing) return true;
    const isTime = clock.nowMs() - memory.snapshotAtMs >= options.snapshotEveryMs;
    return snapshots.isFree && (isTime || records >= options.snapshotEveryRecords);
  }

  /** Snapshot, then the commit that makes it count, then what no longer counts goes. */
  async #snapshot(memory: Memory, batch: Batch): Promise<void> {
    const { instance, clock, patience, snapshots } = this.#context;
    const { topology, points, alertStates } = memory;
    const nowMs = clock.nowMs();
    const bytes = await patience.until(batch, 'snapshot', () =>
      snapshots.encode(topology, points.entries(), alertStates.entries()),
    );
    const id = `${instance}-${this.#partition}-${++this.#snapshotCount}`;
    const ref = await patience.until(batch, 'bus', () => this.#snapshots.write(id, memory.position, bytes, nowMs));
    await patience.until(batch, 'bus', () =>
      batch.commit(memory.position, encodeNote({ current: ref, previous: memory.committed })),
    );
    const obsolete = memory.previous;
    memory.previous = memory.committed;
    memory.committed = ref;
    memory.snapshotAtMs = nowMs;
    await patience.until(batch, 'bus', () => this.#snapshots.remove(obsolete, nowMs));
  }
}
