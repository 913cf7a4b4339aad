/**
 * The stages of one partition alone, without bus, store or network: CPU per reading, what the state weighs in memory, and
 * what a snapshot costs. `node --expose-gc bench/processor-stages.ts [devices] [readings per device and minute] [minutes]`.
 */
import { setTimeout } from 'node:timers/promises';
import type { BusRecord } from '../bus/port.ts';
import { resolveConfig } from '../core/config.ts';
import { headers } from '../core/topics.ts';
import { Topology } from '../processors/topology.ts';

const devices = Number(process.argv[2] ?? 833);
const perMinute = Number(process.argv[3] ?? 6);
const minutes = Number(process.argv[4] ?? 90);
const fields = Number(process.env.FIELDS ?? 3);
const batchRecords = 5000;
const startMs = Date.UTC(2026, 0, 1);
const { processing } = resolveConfig({ env: {}, flags: {}, readText: () => '' });

const topology = new Topology(processing, [], 0);
const emptyBytes = await liveBytes();
let [cpuUs, rollups] = [0, 0];
let batch: BusRecord[] = [];

for (let n = 0; n < devices * perMinute * minutes; n++) {
  batch.push(record(n));
  if (batch.length === batchRecords) processBatch();
}
processBatch();
const records = topology.ledger.nextOffset;
console.log(`${records} readings of ${fields} fields, ${devices} devices, ${perMinute} a minute, ${minutes} minutes`);
console.log(`  stages    ${(cpuUs / records).toFixed(2)} CPU-µs per reading, ${rollups} rollups`);
const stateBytes = (await liveBytes()) - emptyBytes;
console.log(
  `  state     ${(stateBytes / 2 ** 20).toFixed(1)} MiB, ${Math.round(stateBytes / devices)} bytes per device`,
);
for (let i = 0; i < 5; i++) snapshot();

function processBatch(): void {
  const before = process.cpuUsage();
  for (const one of batch) topology.process(one);
  rollups += topology.outputs.rollups.length;
  topology.outputs.clear();
  const { user, system } = process.cpuUsage(before);
  cpuUs += user + system;
  batch = [];
}

function snapshot(): void {
  const before = performance.now();
  const bytes = topology.snapshot().length;
  console.log(`  snapshot  ${(performance.now() - before).toFixed(1)} ms, ${(bytes / 2 ** 20).toFixed(1)} MiB`);
}

/** What is reachable: JavaScript objects and the memory of buffers. */
async function liveBytes(): Promise<number> {
  globalThis.gc?.();
  // Buffers that are garbage are let go of beside the program.
  await setTimeout(1000);
  globalThis.gc?.();
  await setTimeout(200);
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

function record(n: number): BusRecord {
  const device = n % devices;
  const seq = Math.floor(n / devices);
  const ts = startMs + Math.floor((seq * 60_000) / perMinute) + (device % 1000);
  const values = [`"temperature":${value(n, 1)}`, `"humidity":${value(n, 2)}`, `"pressure":${value(n, 3)}`].slice(
    0,
    fields,
  );
  return {
    key: `bench/d${device}`,
    value: Buffer.from(`{"ts":${ts},"seq":${seq},${values.join(',')}}`),
    headers: { [headers.ingestId]: `bench-${n + 1}`, [headers.mqttTopic]: `iot/bench/d${device}/telemetry` },
    timestampMs: ts,
    partition: 0,
    offset: n,
  };
}

/** Of two decimals, or with DOUBLES=1 of as many as a double has. */
function value(n: number, salt: number): number {
  const noise = ((Math.imul(n + 1, 0x9e3779b1 * salt) >>> 0) / 2 ** 32) * 20;
  return process.env.DOUBLES === '1' ? 20 + noise : Math.round((20 + noise) * 100) / 100;
}
