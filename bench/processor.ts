/** The processor alone in its process: bus → decode → dedup → windows → store, two fields per reading, from a full topic. */
import type { Bus, NewRecord } from '../bus/port.ts';
import { systemClock } from '../core/clock.ts';
import { partitionOf } from '../core/partition.ts';
import type { ProcessorStatus } from '../core/status.ts';
import { headers, topicNames } from '../core/topics.ts';
import { startRole } from '../test/support/role-process.ts';
import { configOf, openBenchBus, setUpTopics } from './backend.ts';
import { cpuSeconds, peakMemoryBytes } from './cpu.ts';

export interface ProcessorFigures {
  readonly cpuSecondsPerMillion: number;
  readonly messagesPerSecond: number;
  readonly peakMemoryMiB: number;
}

export interface Load {
  readonly devices: number;
  /** Of one device, in event time. */
  readonly readingsPerMinute: number;
}

export const usualLoad: Load = { devices: 1000, readingsPerMinute: 60 };

const batchRecords = 5000;

export async function measureProcessor(
  env: Record<string, string>,
  messages: number,
  load: Load = usualLoad,
): Promise<ProcessorFigures> {
  await setUpTopics(env);
  const bus = await openBenchBus(env);
  const topics = topicNames(configOf(env).topics.prefix);
  const warmUp = Math.ceil(messages / 5);
  const position = await followPositions(bus, topics.pipelineStatus);
  const before = position();
  await fill(bus, topics.raw, warmUp + messages, load);
  const processor = await startRole(['processor'], env);
  try {
    const atWarm = await sampleAt(before + warmUp, position, processor.pid);
    const atEnd = await sampleAt(before + warmUp + messages, position, processor.pid);
    const measured = atEnd.records - atWarm.records;
    return {
      cpuSecondsPerMillion: ((atEnd.cpu - atWarm.cpu) / measured) * 1e6,
      messagesPerSecond: Math.round(measured / ((atEnd.atMs - atWarm.atMs) / 1000)),
      peakMemoryMiB: Math.round(peakMemoryBytes(processor.pid) / 1024 / 1024),
    };
  } finally {
    await processor.stop();
    await bus.close();
  }
}

/** All devices in turn, evenly spread over the time between two readings of one; the newest reading is of now. */
async function fill(bus: Bus, topic: string, messages: number, { devices, readingsPerMinute }: Load): Promise<void> {
  const partitions = await bus.partitionCount(topic);
  const names = Array.from({ length: devices }, (_, i) => `d${i}`);
  const partitionsOf = names.map((name) => partitionOf(`bench/${name}`, partitions));
  const everyMs = 60_000 / readingsPerMinute;
  const firstMs = systemClock.nowMs() - Math.ceil(messages / devices) * everyMs;
  let batch: NewRecord[] = [];
  for (let n = 0; n < messages; n++) {
    const device = n % devices;
    const seq = Math.floor(n / devices);
    const ts = Math.floor(firstMs + seq * everyMs + (device / devices) * everyMs);
    const payload = `{"ts":${ts},"seq":${seq},"temperature":${20 + (n % 100) / 10},"humidity":${40 + (n % 37)}}`;
    batch.push({
      key: `bench/${names[device]}`,
      partition: partitionsOf[device]!,
      value: Buffer.from(payload),
      headers: { [headers.ingestId]: `bench-${n + 1}`, [headers.mqttTopic]: `iot/bench/${names[device]}/telemetry` },
      timestampMs: ts,
    });
    if (batch.length === batchRecords || n === messages - 1) {
      await bus.append(topic, batch);
      batch = [];
    }
  }
}

/** The number of raw records whose outputs are out, as the processors themselves say. */
export async function followPositions(bus: Bus, topic: string): Promise<() => number> {
  const positions = new Map<string, number>();
  await bus.follow(topic, 'beginning', (records) => {
    for (const { value } of records) {
      if (value === null) continue;
      const status = JSON.parse(value.toString()) as ProcessorStatus;
      if (status.role !== 'processor') continue;
      for (const [partition, { position }] of Object.entries(status.partitions)) positions.set(partition, position);
    }
  });
  return () => [...positions.values()].reduce((sum, position) => sum + position, 0);
}

async function sampleAt(records: number, position: () => number, pid: number) {
  while (position() < records) await systemClock.sleep(20);
  return { records: position(), cpu: cpuSeconds(pid), atMs: performance.now() };
}
