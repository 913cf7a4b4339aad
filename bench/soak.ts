/** Memory over time: gateway and processor as two processes, under a steady load. */
import { topicNames } from '../core/topics.ts';
import { startRole } from '../test/support/role-process.ts';
import { configOf, openBenchBus, setUpTopics } from './backend.ts';
import { cpuSeconds, peakMemoryBytes } from './cpu.ts';
import { load } from './load.ts';

export interface SoakFigures {
  readonly messagesPerSecond: number;
  readonly ackP50Ms: number;
  readonly ackP99Ms: number;
  readonly gateway: RoleFigures;
  readonly processor: RoleFigures;
  /** Between what the gateway has appended and what the processor has committed, at the end. */
  readonly lagSeconds: number;
}

interface RoleFigures {
  readonly peakMemoryMiB: number;
  /** Of the whole run, the start included. */
  readonly cpuSecondsPerMillion: number;
}

const connections = 200;

export async function soak(env: Record<string, string>, seconds: number, rate: number): Promise<SoakFigures> {
  await setUpTopics(env);
  const { topics, processing } = configOf(env);
  const bus = await openBenchBus(env);
  const processor = await startRole(['processor'], env);
  const gateway = await startRole(['gateway'], env);
  try {
    const run = await load(gateway.mqttPort!, seconds * rate, { connections, inflight: 10, rate });
    const lag = await bus.lag(topicNames(topics.prefix).raw, processing.group);
    const figuresOf = (pid: number): RoleFigures => ({
      peakMemoryMiB: Math.round(peakMemoryBytes(pid) / 1024 / 1024),
      cpuSecondsPerMillion: (cpuSeconds(pid) / run.acked) * 1e6,
    });
    return {
      messagesPerSecond: Math.round(run.acked / run.seconds),
      ackP50Ms: run.p50Ms,
      ackP99Ms: run.p99Ms,
      gateway: figuresOf(gateway.pid),
      processor: figuresOf(processor.pid),
      lagSeconds: lag.seconds,
    };
  } finally {
    await gateway.stop();
    await processor.stop();
    await bus.close();
  }
}
