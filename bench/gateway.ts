/** The gateway alone in its process: MQTT in, acknowledged after the bus has it. QoS 1. */
import { startRole } from '../test/support/role-process.ts';
import { setUpTopics } from './backend.ts';
import { cpuSeconds, peakMemoryBytes } from './cpu.ts';
import { type Load, load } from './load.ts';

export interface GatewayFigures {
  readonly cpuSecondsPerMillion: number;
  readonly messagesPerSecond: number;
  readonly ackP50Ms: number;
  readonly ackP99Ms: number;
  readonly peakMemoryMiB: number;
}

/** As fast as they are acknowledged: packets come many to a segment. */
export const saturated: Load = { connections: 100, inflight: 10, rate: null };
/** As devices send: one packet per segment. */
export const paced: Load = { connections: 200, inflight: 10, rate: 6000 };
/** Many connections, as fast as they are acknowledged. */
const crowded: Load = { connections: 1000, inflight: 10, rate: null };

export async function measureGateway(
  env: Record<string, string>,
  messages: number,
  how: Load,
): Promise<GatewayFigures> {
  await setUpTopics(env);
  const gateway = await startRole(['gateway'], env);
  try {
    await load(gateway.mqttPort!, Math.ceil(messages / 5), how);
    const before = cpuSeconds(gateway.pid);
    const run = await load(gateway.mqttPort!, messages, how);
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

/** What is asked of one process, messages per second. */
const goal = 20_000;

/** What 1,000 clients get through, and how long acknowledgements take at what is asked for, or the most, and at half of it. */
export async function measureClients(env: Record<string, string>, messages: number) {
  const most = await measureGateway(env, messages, crowded);
  const rate = Math.min(goal, most.messagesPerSecond);
  const atGoal = await measureGateway(env, messages, { ...crowded, rate });
  const atHalf = await measureGateway(env, messages, { ...crowded, rate: rate / 2 });
  return { most, atGoal, atHalf };
}
