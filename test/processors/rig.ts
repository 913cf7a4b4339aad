/** A processor on a real embedded bus and store in a folder of its own, and what is in both afterwards. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EmbeddedBus } from '../../bus/embedded.ts';
import type { Bus, BusRecord } from '../../bus/port.ts';
import type { Alert } from '../../core/alert.ts';
import { systemClock } from '../../core/clock.ts';
import { resolveConfig } from '../../core/config.ts';
import type { PartitionLedger } from '../../core/ledger.ts';
import { silentLogger } from '../../core/log.ts';
import { topicNames, topicSpecs } from '../../core/topics.ts';
import type { ProcessorOptions } from '../../processors/options.ts';
import type { Rule } from '../../processors/rules/file.ts';
import { Processor } from '../../processors/runner.ts';
import { EmbeddedStore } from '../../store/embedded.ts';
import type { Store } from '../../store/port.ts';
import { eventually } from '../support/eventually.ts';

const config = resolveConfig({ env: {}, flags: {}, readText: () => '' });
export const topics = topicNames();

export interface Rig {
  /** Of the bus and the store. */
  readonly folder: string;
  readonly bus: Bus;
  readonly store: Store;
  /** `rules` take the place of the rig's own. */
  processor(over?: Partial<ProcessorOptions>, ports?: { bus?: Bus; store?: Store }, rules?: readonly Rule[]): Processor;
  append(records: readonly BusRecord[]): Promise<void>;
  /** Everything that others can see. */
  contents(devices: readonly string[], fromMs: number, toMs: number): Promise<Contents>;
  close(): Promise<void>;
}

export interface Contents {
  readonly readings: unknown[];
  readonly rollups: unknown[];
  /** Ids in order of their first appearance. */
  readonly alertIds: string[];
  readonly openAlerts: string[];
  readonly late: string[];
  readonly deadLetters: string[];
}

export async function openRig(rigRules: readonly Rule[]): Promise<Rig> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-processor-'));
  const bus = new EmbeddedBus({ file: join(folder, 'bus.sqlite'), clock: systemClock, log: silentLogger });
  const store = new EmbeddedStore({
    file: join(folder, 'store.sqlite'),
    retention: { rawMs: null, rollupMs: null },
    clock: systemClock,
    log: silentLogger,
  });
  await bus.start();
  await store.start();
  await store.setup();
  await bus.createTopics(topicSpecs({ prefix: 'iot.', partitions: 1, rawRetentionMs: null, rawRetentionBytes: null }));
  const started: Processor[] = [];
  let instances = 0;
  return {
    folder,
    bus,
    store,
    processor: (over = {}, ports = {}, rules = rigRules) => {
      const processor = new Processor({
        bus,
        store,
        ...ports,
        topics,
        group: 'test',
        rules,
        options: { ...config.processing, ...over },
        instance: `instance${++instances}`,
        version: '0',
        clock: systemClock,
        log: silentLogger,
      });
      started.push(processor);
      return processor;
    },
    append: (records) => bus.append(topics.raw, records),
    contents: (devices, fromMs, toMs) => contentsOf(bus, store, devices, fromMs, toMs),
    close: async () => {
      for (const processor of started) await processor.close(5000);
      await store.close();
      await bus.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Resolves once every record of the raw topic has been processed; returns the ledger of partition 0. */
export function drained(processor: Processor, records: number): Promise<PartitionLedger> {
  return eventually(
    () => {
      const status = processor.status().partitions['0'];
      return status !== undefined && status.position >= records ? status.ledger : undefined;
    },
    { what: `${records} records processed` },
  );
}

export async function readAll(bus: Bus, topic: string): Promise<BusRecord[]> {
  const all: BusRecord[] = [];
  for (let next = 0; ; ) {
    const { records, endOffset } = await bus.read(topic, 0, next, 1000);
    all.push(...records);
    next = records.length === 0 ? endOffset : records.at(-1)!.offset + 1;
    if (next >= endOffset) return all;
  }
}

async function contentsOf(bus: Bus, store: Store, devices: readonly string[], fromMs: number, toMs: number) {
  const readings: unknown[] = [];
  const rollups: unknown[] = [];
  for (const device of devices) {
    readings.push(...(await store.readings('lab', device, fromMs, toMs)).map((reading) => [device, reading]));
    for (const field of ['temperature', 'rpm']) {
      const query = { site: 'lab', device, field, fromMs, toMs, limit: 100_000 };
      for (const every of ['1m', '1h', '1d'] as const) {
        rollups.push(...(await store.rollups(query, every)).map((rollup) => [device, field, every, rollup]));
      }
    }
  }
  const alerts = (await readAll(bus, topics.alerts)).map(({ value }) => JSON.parse(value!.toString()) as Alert);
  const states = new Map((await readAll(bus, topics.alertsState)).map(({ key, value }) => [key, value]));
  const sources = async (topic: string) => [
    ...new Set(
      (await readAll(bus, topic)).map(
        ({ headers }) => `${headers['source.offset']} ${headers['source.index'] ?? ''} ${headers['dlq.reason'] ?? ''}`,
      ),
    ),
  ];
  return {
    readings,
    rollups,
    alertIds: [...new Set(alerts.map(({ id }) => id))],
    openAlerts: [...states].filter(([, value]) => value !== null).map(([key]) => key),
    late: await sources(topics.late),
    deadLetters: await sources(topics.dlq),
  };
}
