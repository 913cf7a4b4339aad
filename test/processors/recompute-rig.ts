/** A backend that a processor has worked on, and `sluice recompute` over it. */
import { onTestFinished } from 'vitest';
import type { Batch, Bus, NewRecord } from '../../bus/port.ts';
import { systemClock } from '../../core/clock.ts';
import type { PartitionLedger } from '../../core/ledger.ts';
import { silentLogger } from '../../core/log.ts';
import type { ProcessorOptions } from '../../processors/options.ts';
import { newestPoints } from '../../processors/points.ts';
import { recomputeFromBus } from '../../processors/recompute/from-bus.ts';
import { type DeviceName, type RecomputeContext, recompute } from '../../processors/recompute/recompute.ts';
import type { Range } from '../../processors/recompute/scope.ts';
import { type Summary, Tally } from '../../processors/recompute/summary.ts';
import { Processor } from '../../processors/runner.ts';
import { SnapshotEncoder } from '../../processors/snapshot.ts';
import { encodeNote, SnapshotTopic } from '../../processors/state.ts';
import { Topology } from '../../processors/topology.ts';
import type { Store } from '../../store/port.ts';
import { type Backend, openBackend } from '../support/backends.ts';
import { eventually } from '../support/eventually.ts';
import { storedPoints } from '../support/oracle/stored.ts';

export type Points = Awaited<ReturnType<typeof storedPoints>>;

export interface Lab {
  readonly backend: Backend;
  readonly bus: Bus;
  readonly store: Store;
  readonly context: RecomputeContext;
  append(records: readonly NewRecord[]): Promise<void>;
  /**
   * Everything in the raw topic is processed, and the state of then committed. Not by a processor: that would write what
   * it has written first once more a minute later, and until then nothing of it could be rebuilt.
   */
  process(): Promise<void>;
  /** By partition that had records. */
  ledgers(): PartitionLedger[];
  /** A real one, that goes on until the test is over. */
  startProcessor(): Promise<Processor>;
  /** All points of windows, by place. */
  points(): Promise<Points>;
  recompute(
    range: Range,
    over?: { device?: DeviceName; isDryRun?: boolean; context?: Partial<RecomputeContext> },
  ): Promise<Summary>;
  fromBus(over?: { range?: Range; device?: DeviceName; context?: Partial<RecomputeContext> }): Promise<Summary>;
}

/** Of one test, and closed after it. */
export async function openLab(
  options: Partial<ProcessorOptions> = {},
  name: Backend['name'] = 'embedded',
): Promise<Lab> {
  const lab = await startLab(options, name);
  onTestFinished(() => lab.backend.close());
  return lab;
}

export async function startLab(
  options: Partial<ProcessorOptions> = {},
  name: Backend['name'] = 'embedded',
): Promise<Lab> {
  const backend = await openBackend(name);
  const { config, topics } = backend;
  const [bus, store] = [await backend.bus(), await backend.store()];
  const processing = { ...config.processing, windows: config.windows, ...options };
  let started = 0;
  let appended = 0;
  const topologies = new Map<number, Topology>();
  const startProcessor = async () => {
    const processor = new Processor({
      ...{ bus, store, topics, group: config.processing.group, rules: [], options: processing },
      ...{ instance: `processor${++started}`, version: 'test', clock: systemClock, log: silentLogger },
    });
    onTestFinished(() => processor.close(5000));
    await processor.start();
    return processor;
  };
  const context: RecomputeContext = {
    ...{ bus, store, topics, group: config.processing.group, options: processing, rawRetentionMs: null },
    ...{ clock: systemClock, signal: new AbortController().signal, tell: () => {} },
  };
  return {
    backend,
    bus,
    store,
    context,
    append: async (records) => {
      await bus.append(topics.raw, records);
      appended += records.length;
    },
    startProcessor,
    process: () => process(bus, store, context, topologies, appended),
    ledgers: () => [...topologies.values()].map(({ ledger }) => ledger),
    points: () => storedPoints(config),
    recompute: async (range, over = {}) => {
      const tally = new Tally();
      const { device = null, isDryRun = false } = over;
      await recompute({ ...context, ...over.context }, { range, device, isDryRun }, tally);
      return tally.summary();
    },
    fromBus: async (over = {}) => {
      const tally = new Tally();
      const { range = null, device = null } = over;
      await recomputeFromBus({ ...context, ...over.context }, { range, device, isDryRun: false }, tally);
      return tally.summary();
    },
  };
}

async function process(
  bus: Bus,
  store: Store,
  { topics, group, options }: RecomputeContext,
  topologies: Map<number, Topology>,
  count: number,
): Promise<void> {
  const encoder = new SnapshotEncoder(systemClock);
  const handle = async (batch: Batch) => {
    const { partition, records } = batch;
    if (records.length === 0) return;
    const topology = topologies.get(partition) ?? new Topology(options, [], records[0]!.offset);
    topologies.set(partition, topology);
    for (const record of records) topology.process(record);
    const { outputs, ledger } = topology;
    await store.write([...outputs.raw.map(({ point }) => point), ...newestPoints(outputs.rollups)]);
    outputs.clear();
    const snapshots = new SnapshotTopic(bus, topics.processorState, partition);
    const bytes = await encoder.encode(topology, [], []);
    const current = await snapshots.write(`test-${ledger.nextOffset}`, ledger.nextOffset, bytes, 0);
    await batch.commit(ledger.nextOffset, encodeNote({ current, previous: null }));
  };
  const consumption = await bus.consume(topics.raw, group, handle, { sessionTimeoutMs: 30_000, maxBatchRecords: 5000 });
  const processed = () => [...topologies.values()].reduce((sum, { ledger }) => sum + ledger.nextOffset, 0);
  await eventually(() => processed() === count, { withinMs: 30_000, what: 'all is processed' });
  await consumption.close();
}

/** Records that it has processed, of all partitions. */
export function positionOf(processor: Processor): number {
  return Object.values(processor.status().partitions).reduce((sum, { position }) => sum + position, 0);
}

export interface Sent {
  readonly device?: string;
  /** Event time. */
  readonly ts: number;
  /** When it came (its time). */
  readonly atMs?: number;
  readonly fields: Readonly<Record<string, number | boolean | string>>;
}

/** As the gateway appends it. */
export function recordOf({ device = 'd', ts, atMs = ts, fields }: Sent): NewRecord {
  return {
    key: `lab/${device}`,
    value: Buffer.from(JSON.stringify({ ts, ...fields })),
    headers: { 'mqtt.topic': `iot/lab/${device}/telemetry` },
    timestampMs: atMs,
  };
}
