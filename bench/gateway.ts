/** The gateway alone in its process: MQTT in, acknowledged after the bus has it. 100 connections × 10 in flight, QoS 1. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { startRole } from '../test/support/role-process.ts';
import { setUpTopics } from './backend.ts';
import { cpuSeconds, peakMemoryBytes } from './cpu.ts';

export interface GatewayFigures {
  readonly cpuSecondsPerMillion: number;
  readonly messagesPerSecond: number;
  readonly ackP50Ms: number;
  readonly ackP99Ms: number;
  readonly peakMemoryMiB: number;
}

export async function measureGateway(env: Record<string, string>, messages: number): Promise<GatewayFigures> {
  await setUpTopics(env);
  const gateway = await startRole(['gateway'], env);
  try {
    await load(gateway.mqttPort!, Math.ceil(messages / 5));
    const before = cpuSeconds(gateway.pid);
    const run = await load(gateway.mqttPort!, messages);
    const cpu = cpuSeconds(gateway.pid) - before;
    return {
      cpuSecondsPerMillion: (cpu / run.acked) * 1e6,
      messagesPerSecond: Math.round(run.acked / run.seconds),
      ackP50Ms: run.p50Ms,
      ackP99Ms: run.p99Ms,
      peakMemoryMiB: Math.round(peakMemoryBytes(gateway.pid) / 1024 / 1024),
    };
  } finally {
    await gateway.stop();
  }
}

interface LoadResult {
  readonly acked: number;
  readonly seconds: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** Runs the load generator as a process of its own, so that its CPU time is not ours. */
async function load(port: number, messages: number): Promise<LoadResult> {
  const program = join(import.meta.dirname, 'mqtt-load.ts');
  const args = ['--port', String(port), '--connections', '100', '--inflight', '10', '--messages', String(messages)];
  const child = spawn(process.execPath, [program, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [output, [code]] = await Promise.all([text(child.stdout), once(child, 'exit')]);
  if (code !== 0) throw new Error(`the load generator ended with ${code}`);
  return JSON.parse(output) as LoadResult;
}
