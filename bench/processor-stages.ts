/**
 * The stages of one partition alone, without bus, store or network: CPU per record, and what a snapshot costs.
 * `node bench/processor-stages.ts [devices] [seconds]`: one reading per device and second, two fields each.
 */
import type { BusRecord } from '../bus/port.ts';
import { resolveConfig } from '../core/config.ts';
import { headers } from '../core/topics.ts';
import { Topology } from '../processors/topology.ts';

const devices = Number(process.argv[2] ?? 83);
const seconds = Number(process.argv[3] ?? 3600);
const batchRecords = 5000;
const startMs = Date.UTC(2026, 0, 1);
const { processing } = resolveConfig({ env: {}, flags: {}, readText: () => '' });

const topology = new Topology(processing, [], 0);
let [cpuUs, snapshotCpuUs, snapshotBytes, snapshots] = [0, 0, 0, 0];
let batch: BusRecord[] = [];

for (let n = 0; n < devices * seconds; n++) {
  batch.push(record(n));
  if (batch.length === batchRecords) measure();
}
const records = topology.ledger.nextOffset;
console.log(`${records} records of ${devices} devices, ${seconds} s of event time`);
console.log(`  stages    ${(cpuUs / records).toFixed(2)} CPU-µs per record`);
console.log(`  snapshot  ${(snapshotCpuUs / snapshots / 1000).toFixed(1)} CPU-ms, ${snapshotBytes} bytes`);
console.log(`  memory    ${Math.round(process.memoryUsage().rss / 1024 / 1024)} MiB`);

function measure(): void {
  const before = process.cpuUsage();
  for (const one of batch) topology.process(one);
  topology.outputs.clear();
  cpuUs += spent(before);
  batch = [];
  if (topology.ledger.nextOffset % (batchRecords * 10) === 0) snapshot();
}

function snapshot(): void {
  const before = process.cpuUsage();
  snapshotBytes = topology.snapshot().length;
  snapshotCpuUs += spent(before);
  snapshots++;
}

function spent(before: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(before);
  return user + system;
}

function record(n: number): BusRecord {
  const device = n % devices;
  const seq = Math.floor(n / devices);
  const ts = startMs + seq * 1000 + (device % 1000);
  const payload = `{"ts":${ts},"seq":${seq},"temperature":${20 + (n % 100) / 10},"humidity":${40 + (n % 37)}}`;
  return {
    key: `bench/d${device}`,
    value: Buffer.from(payload),
    headers: { [headers.ingestId]: `bench-${n + 1}`, [headers.mqttTopic]: `iot/bench/d${device}/telemetry` },
    timestampMs: ts,
    partition: 0,
    offset: n,
  };
}
