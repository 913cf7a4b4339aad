/** How long a processor with the state of a large fleet takes from its start to its first new output, and to that of every partition. */
import type { Bus, NewRecord } from '../bus/port.ts';
import { systemClock } from '../core/clock.ts';
import { silentLogger } from '../core/log.ts';
import { partitionOf } from '../core/partition.ts';
import { headers, topicNames } from '../core/topics.ts';
import { openStore } from '../pipeline.ts';
import type { Store } from '../store/port.ts';
import { startRole } from '../test/support/role-process.ts';
import { configOf, openBenchBus, setUpTopics } from './backend.ts';
import { followPositions } from './processor.ts';

export interface RestartFigures {
  readonly devices: number;
  /** From spawning the process. After SIGTERM, and after SIGKILL, which the group notices only after `sessionTimeoutMs`. */
  readonly afterStop: RestartTimes;
  readonly afterKill: RestartTimes;
  readonly sessionTimeoutMs: number;
}

interface RestartTimes {
  readonly firstOutputMs: number;
  readonly allPartitionsMs: number;
}

const site = 'bench';
const perMinute = 6;
/** Hours are the longest windows that are mostly values: state grows no further. */
const minutes = 61;
const batchRecords = 5000;

export async function measureRestart(env: Record<string, string>, devices: number): Promise<RestartFigures> {
  await setUpTopics(env);
  const config = configOf(env);
  const bus = await openBenchBus(env);
  const store = openStore(config, systemClock, silentLogger);
  await store.start();
  const { raw, pipelineStatus } = topicNames(config.topics.prefix);
  const position = await followPositions(bus, pipelineStatus);
  const startMs = systemClock.nowMs() - minutes * 60_000;
  await fill(bus, raw, devices, startMs);

  let processor = await startRole(['processor'], env);
  try {
    while (position() < devices * perMinute * minutes) await systemClock.sleep(500);
    const restart = async (): Promise<RestartTimes> => {
      const markers = await appendMarkers(bus, raw, devices);
      const spawnedMs = performance.now();
      const starting = startRole(['processor'], env);
      const times = await Promise.all(markers.map((marker) => storedAfter(store, marker, spawnedMs)));
      processor = await starting;
      return { firstOutputMs: Math.round(Math.min(...times)), allPartitionsMs: Math.round(Math.max(...times)) };
    };
    await processor.stop();
    const afterStop = await restart();
    await processor.kill();
    const afterKill = await restart();
    return { devices, afterStop, afterKill, sessionTimeoutMs: config.processing.sessionTimeoutMs };
  } finally {
    await processor.stop();
    await store.close();
    await bus.close();
  }
}

async function fill(bus: Bus, topic: string, devices: number, startMs: number): Promise<void> {
  let batch: NewRecord[] = [];
  for (let seq = 0; seq < perMinute * minutes; seq++) {
    for (let device = 0; device < devices; device++) {
      batch.push(recordOf(device, startMs + (seq * 60_000) / perMinute + (device % 1000), seq * devices + device));
      if (batch.length < batchRecords) continue;
      await bus.append(topic, batch);
      batch = [];
    }
  }
  await bus.append(topic, batch);
}

interface Marker {
  readonly device: number;
  readonly timeMs: number;
}

/** One new reading in each partition. */
async function appendMarkers(bus: Bus, topic: string, devices: number): Promise<Marker[]> {
  const partitions = await bus.partitionCount(topic);
  const timeMs = systemClock.nowMs();
  const byPartition = new Map<number, number>();
  for (let device = 0; device < devices && byPartition.size < partitions; device++) {
    byPartition.set(partitionOf(keyOf(device), partitions), device);
  }
  const markers = [...byPartition.values()].map((device) => ({ device, timeMs }));
  await bus.append(
    topic,
    markers.map(({ device }) => recordOf(device, timeMs, timeMs)),
  );
  return markers;
}

async function storedAfter(store: Store, { device, timeMs }: Marker, sinceMs: number): Promise<number> {
  while ((await store.readings(site, nameOf(device), timeMs, timeMs + 1)).length === 0) await systemClock.sleep(20);
  return performance.now() - sinceMs;
}

/** `count` rises from record to record. */
function recordOf(device: number, ts: number, count: number): NewRecord {
  const value = (salt: number) => 20 + ((Math.imul(count + 1, 0x9e3779b1 * salt) >>> 0) / 2 ** 32) * 20;
  const fields = { temperature: value(1), humidity: value(2), pressure: value(3) };
  return {
    key: keyOf(device),
    value: Buffer.from(JSON.stringify({ ts, seq: count, ...fields })),
    headers: { [headers.ingestId]: `bench-${count}`, [headers.mqttTopic]: `iot/${keyOf(device)}/telemetry` },
    timestampMs: ts,
  };
}

function nameOf(device: number): string {
  return `d${device}`;
}

function keyOf(device: number): string {
  return `${site}/${nameOf(device)}`;
}
