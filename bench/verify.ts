/**
 * What `sluice verify` needs for a long run: a full topic and its truth are made without a simulator, a processor works
 * them off, and then verify proves them, on the embedded bus and store, timed from outside.
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { finished } from 'node:stream/promises';
import { parseArgs } from 'node:util';
import type { Bus, NewRecord } from '../bus/port.ts';
import { systemClock } from '../core/clock.ts';
import type { ProcessorStatus } from '../core/status.ts';
import { headers, topicNames } from '../core/topics.ts';
import { type TruthMessage, type TruthRun, truthVersion } from '../core/truth.ts';
import { eventually } from '../test/support/eventually.ts';
import { startRole } from '../test/support/role-process.ts';
import { openBenchBus, setUpTopics } from './backend.ts';
import { cpuSeconds, peakMemoryBytes } from './cpu.ts';

const { values: flags } = parseArgs({
  options: {
    messages: { type: 'string', default: '1000000' },
    devices: { type: 'string', default: '1000' },
    help: { type: 'boolean', default: false },
  },
});
if (flags.help) {
  console.log('node bench/verify.ts [--messages N (1000000)] [--devices N (1000)]');
  process.exit(0);
}
const messages = Number(flags.messages);
const devices = Number(flags.devices);
const program = join(import.meta.dirname, '../bin/sluice.js');
const batchRecords = 5000;

/** One reading with two fields per device and second, all devices in turn, up to now. */
async function fill(bus: Bus, topic: string, truthFile: string): Promise<void> {
  const truth = createWriteStream(truthFile);
  const startedAtMs = systemClock.nowMs() - Math.ceil(messages / devices) * 1000;
  const run: TruthRun = {
    ...{ kind: 'run', truthVersion, version: '0', run: 'bench', scenario: 'bench', seed: 1 },
    ...{ startedAtMs, broker: 'mqtt://127.0.0.1', qos: 1 },
  };
  truth.write(`${JSON.stringify(run)}\n`);
  let batch: NewRecord[] = [];
  for (let i = 0; i < messages; i++) {
    const device = `d${i % devices}`;
    const n = Math.floor(i / devices);
    const timeMs = startedAtMs + n * 1000;
    const fields = { temperature: 20 + (i % 100) / 10, humidity: 40 + (i % 37) };
    const payload = JSON.stringify({ ts: timeMs, seq: n, ...fields });
    const mqttTopic = `iot/bench/${device}/telemetry`;
    const message: TruthMessage = {
      ...{ kind: 'message', site: 'bench', device, n, topic: mqttTopic, copies: 1, faults: [] },
      digest: createHash('sha256').update(payload).digest('base64url'),
      reading: { timeMs, seq: n, fields },
      ...{ intendedMs: timeMs, sentMs: timeMs, acknowledgedMs: timeMs, expect: { as: 'stored' } },
    };
    if (!truth.write(`${JSON.stringify(message)}\n`)) await once(truth, 'drain');
    const names = { [headers.ingestId]: `bench-${i + 1}`, [headers.mqttTopic]: mqttTopic };
    batch.push({ key: `bench/${device}`, value: Buffer.from(payload), headers: names, timestampMs: timeMs });
    if (batch.length < batchRecords && i < messages - 1) continue;
    await bus.append(topic, batch);
    batch = [];
  }
  truth.end();
  await finished(truth);
}

/** Until a processor says that the outputs of all of it are out; its last commit comes with its end. */
async function workOff(bus: Bus, topic: string, env: Record<string, string>): Promise<void> {
  const positions = new Map<string, number>();
  const following = await bus.follow(topic, 'end', (records) => {
    for (const { value } of records) {
      const status = value === null ? null : (JSON.parse(value.toString()) as ProcessorStatus);
      if (status?.role !== 'processor') continue;
      for (const [partition, { position }] of Object.entries(status.partitions)) positions.set(partition, position);
    }
  });
  const processor = await startRole(['processor'], env);
  const processed = () => positions.values().reduce((sum, position) => sum + position, 0);
  await eventually(() => processed() >= messages, { withinMs: Math.max(60_000, messages), what: 'all is processed' });
  await processor.stop();
  await following.close();
}

async function prove(env: Record<string, string>, truthFile: string) {
  const child = spawn(process.execPath, [program, 'verify', '--truth', truthFile, '--wait', '0', '--json'], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const startedMs = performance.now();
  const used = { cpu: 0, peakBytes: 0 };
  const stopLooking = systemClock.every(50, () => {
    used.cpu = cpuSeconds(child.pid!);
    used.peakBytes = peakMemoryBytes(child.pid!) || used.peakBytes;
  });
  const [out] = await Promise.all([text(child.stdout), once(child, 'exit').then(stopLooking)]);
  return {
    seconds: Math.round(performance.now() - startedMs) / 1000,
    cpuSeconds: used.cpu,
    peakMiB: Math.round(used.peakBytes / 1024 / 1024),
    verdict: (JSON.parse(out) as { verdict: string }).verdict,
  };
}

const folder = await mkdtemp(join(tmpdir(), 'sluice-verify-bench-'));
const env = { SLUICE_DATA_DIR: folder, SLUICE_LOG_LEVEL: 'info', SLUICE_HTTP_PORT: '0', SLUICE_MQTT_PORT: '0' };
try {
  await setUpTopics(env);
  const bus = await openBenchBus(env);
  const { raw, pipelineStatus } = topicNames();
  const truthFile = join(folder, 'truth.ndjson');
  await fill(bus, raw, truthFile);
  await workOff(bus, pipelineStatus, env);
  await bus.close();
  console.log(JSON.stringify({ messages, devices, ...(await prove(env, truthFile)) }, null, 2));
} finally {
  await rm(folder, { recursive: true });
}
