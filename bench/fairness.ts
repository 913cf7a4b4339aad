/**
 * What one device that publishes as fast as it can does to the acknowledgements of others: QoS 1 at a steady rate over 50
 * connections, alone and beside it, in turn.
 */
import { once } from 'node:events';
import { setUpTopics } from './backend.ts';
import { withGateway } from './configured.ts';
import { type Load, load, startLoad } from './load.ts';

const others: Load = { connections: 50, inflight: 10, rate: 500 };
/** As many as there are packet identifiers, nearly. */
const greedy: Load = { connections: 1, inflight: 60_000, rate: null };
const moreThanItSends = 20_000_000;
const rounds = 3;
const unlimited = { mqtt: { maxMessagesPerSecond: 1_000_000, maxBytesPerSecond: 1024 * 1024 * 1024 } };

interface Acks {
  readonly p50Ms: number;
  readonly p99Ms: number;
}

export interface FairnessFigures {
  readonly alone: Acks;
  readonly beside: Acks;
  /** Of the 99th percentiles. */
  readonly ratio: number;
}

/** With the limits on one client as they are by default, and with none: what the order of appends alone does. */
export async function measureFairness(env: Record<string, string>, secondsPerRound: number) {
  await setUpTopics(env);
  const messages = others.rate! * secondsPerRound;
  return { withLimits: await measure(env, messages, {}), withoutLimits: await measure(env, messages, unlimited) };
}

async function measure(env: Record<string, string>, messages: number, settings: object): Promise<FairnessFigures> {
  return withGateway(env, settings, async ({ mqttPort }) => {
    await load(mqttPort!, messages / 4, others);
    const [alone, beside]: [Acks[], Acks[]] = [[], []];
    for (let round = 0; round < rounds; round++) {
      alone.push(await load(mqttPort!, messages, others));
      const flood = startLoad(mqttPort!, moreThanItSends, greedy, 'greedy');
      const hasEnded = once(flood, 'exit');
      beside.push(await load(mqttPort!, messages, others));
      if (flood.exitCode !== null) throw new Error('the device that floods was ended');
      flood.kill();
      await hasEnded;
    }
    const [without, besideIt] = [median(alone), median(beside)];
    return { alone: without, beside: besideIt, ratio: Math.round((besideIt.p99Ms / without.p99Ms) * 100) / 100 };
  });
}

/** Of the rounds, by their 99th percentile. */
function median(results: readonly Acks[]): Acks {
  const { p50Ms, p99Ms } = results.toSorted((a, b) => a.p99Ms - b.p99Ms)[results.length >> 1]!;
  return { p50Ms, p99Ms };
}
