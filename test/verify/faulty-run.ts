/**
 * A run of the simulator with faults against a real gateway, both by a clock that the test moves: what is then in the raw
 * topic, and the truth that was written of it.
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import type { BusRecord } from '../../bus/port.ts';
import { resolveConfig } from '../../core/config.ts';
import { silentLogger } from '../../core/log.ts';
import { topicSpecs } from '../../core/topics.ts';
import type { TruthMessage } from '../../core/truth.ts';
import { Gateway } from '../../gateway/gateway.ts';
import { type GatewayOptions, gatewayOptions } from '../../gateway/options.ts';
import type { FaultSpec } from '../../simulator/faults/spec.ts';
import type { Fleet } from '../../simulator/fleet.ts';
import { defaultSimulatorOptions, type SimulatorOptions } from '../../simulator/options.ts';
import { Simulator } from '../../simulator/simulator.ts';
import type { SimulatorStats } from '../../simulator/tally.ts';
import { TruthWriter } from '../../simulator/truth.ts';
import { readTruth, type Truth } from '../../verify/truth-file.ts';
import { topics } from '../processors/rig.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { MemoryBus } from '../support/memory-bus.ts';
import { startMs } from './fleet.ts';

export interface FaultyRun {
  /** Of the raw topic. */
  readonly records: readonly BusRecord[];
  readonly messages: readonly TruthMessage[];
  readonly stats: SimulatorStats;
  truth(): Promise<Truth>;
}

const gatewayDefaults = gatewayOptions(resolveConfig({ env: {}, flags: {}, readText: () => '' }));
const credentials = { username: 'fleet', password: 'hunted' };
const stepMs = 20;
/** Long enough that silence closes the last windows. */
const silenceMs = 90_000;

export async function faultyRun(
  fleets: readonly Fleet[],
  faults: readonly FaultSpec[],
  lastsMs: number,
  over: Partial<SimulatorOptions> = {},
  gatewayOver: Partial<GatewayOptions> = {},
): Promise<FaultyRun> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-faulty-'));
  const clock = new ManualClock(startMs);
  const bus = new MemoryBus({ clock });
  const topicSettings = { prefix: 'iot.', partitions: 1, rawRetentionMs: null, rawRetentionBytes: null };
  await bus.createTopics(topicSpecs(topicSettings));
  const gateway = new Gateway({
    bus,
    topics,
    options: { ...gatewayDefaults, port: 0, lingerMs: 0, credentials, ...gatewayOver },
    instance: 'gateway',
    version: '0',
    clock,
    log: silentLogger,
  });
  await gateway.start();
  const file = join(folder, 'truth.ndjson');
  const broker = `mqtt://127.0.0.1:${gateway.address().port}`;
  const options = { ...defaultSimulatorOptions, scenario: 'faults', broker, fleets, faults, credentials, ...over };
  const truth = new TruthWriter({ ...options, file, version: '0', run: 'r1', startedAtMs: startMs });
  truth.open();
  const simulator = new Simulator(options, { clock, log: silentLogger, run: 'r1', truth });
  const pass = async (ms: number) => {
    for (let passedMs = 0; passedMs < ms; passedMs += stepMs) {
      clock.advance(stepMs);
      // What was written to a socket is read in the next turns of the loop.
      for (let turn = 0; turn < 4; turn++) await setImmediate();
    }
  };
  try {
    simulator.start();
    await pass(lastsMs);
    let isStopped = false;
    const stopping = simulator.stop().then(() => {
      isStopped = true;
    });
    while (!isStopped) await pass(stepMs);
    await stopping;
    truth.close();
    await pass(silenceMs);
    const lines = (await readFile(file, 'utf8')).trimEnd().split('\n');
    return {
      records: bus.records(topics.raw),
      messages: lines.slice(1).map((line) => JSON.parse(line) as TruthMessage),
      stats: simulator.stats(),
      truth: () => readTruth(lines, 'truth.ndjson'),
    };
  } finally {
    const closing = gateway.close(1000);
    await pass(2000);
    await closing;
    await rm(folder, { recursive: true });
  }
}
