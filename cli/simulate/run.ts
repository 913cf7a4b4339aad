import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { systemClock } from '../../core/clock.ts';
import { SluiceError } from '../../core/errors.ts';
import { routeOf } from '../../core/route.ts';
import type { SimulatorOptions } from '../../simulator/options.ts';
import { QueryableProbe } from '../../simulator/report/queryable.ts';
import type { Scenario } from '../../simulator/scenario/scenario.ts';
import { readScenario, shippedScenario } from '../../simulator/scenario/shipped.ts';
import { Simulator } from '../../simulator/simulator.ts';
import { TruthWriter } from '../../simulator/truth.ts';
import { makeLogger } from '../logger.ts';
import { version } from '../version.ts';
import type { Flags, Surroundings } from './connection-flags.ts';
import { devicesOf, readSimulateFlags } from './flags.ts';
import { type Reporting, runAndReport, type Sender } from './reporting.ts';

export const surroundings: Surroundings = { env: process.env, readFile: (path) => readFileSync(path) };

export async function simulate(name: string | undefined, flags: Flags): Promise<void> {
  const { options, reporting, warnings } = readSimulateFlags(flags, chosenScenario(name, flags.file), surroundings);
  for (const warning of warnings) process.stderr.write(`sluice: ${warning}\n`);
  await runSender(options, reporting, flags, (simulator) => simulator);
}

/** Prints `site/device` of each device that a run with these flags would have. */
export function listDevices(name: string | undefined, flags: Flags): void {
  const devices = devicesOf(flags, chosenScenario(name, flags.file)).map(({ site, device }) => ({ site, device }));
  if (flags.json === true) console.log(JSON.stringify(devices, null, 2));
  else for (const { site, device } of devices) console.log(`${site}/${device}`);
}

/** Runs what `senderOf` makes of a simulator, with truth and report. */
export async function runSender(
  options: SimulatorOptions,
  reporting: Reporting,
  flags: Flags,
  senderOf: (simulator: Simulator) => Sender,
): Promise<void> {
  const run = randomBytes(3).toString('hex');
  const truth = openTruth(flags.truth, options, run);
  const probe = reporting.pipeline === undefined ? null : new QueryableProbe(reporting.pipeline, systemClock);
  const simulator = new Simulator(options, {
    clock: systemClock,
    log: makeLogger({ level: 'info', format: 'pretty' }),
    run,
    ...(truth === null ? {} : { truth }),
    onAcknowledged: (reading, dueMs) => probe?.acknowledged(reading, dueMs),
  });
  try {
    await runAndReport({ sender: senderOf(simulator), options, run, reporting, flags, probe });
  } finally {
    truth?.close();
  }
}

function chosenScenario(name: string | undefined, file: Flags[string]): Scenario {
  if (typeof file !== 'string') return shippedScenario(name ?? 'quickstart').scenario;
  if (name !== undefined) {
    throw new SluiceError('CONFIG_INVALID', `a scenario by name (${name}) and one by --file: give one of them`);
  }
  return readScenario(file);
}

/** `null` when none was asked for. */
function openTruth(file: Flags[string], options: SimulatorOptions, run: string): TruthWriter | null {
  if (typeof file !== 'string') return null;
  const { scenario, broker, qos, seed, topic } = options;
  if (routeOf(topic) === null) {
    const what = `--truth: the pipeline has no route for ${topic}, so none of it would be stored`;
    throw new SluiceError('CONFIG_INVALID', `${what}: keep the default --topic`);
  }
  const startedAtMs = systemClock.nowMs();
  const writer = new TruthWriter({ file, version, run, scenario, broker, qos, seed, startedAtMs });
  writer.open();
  return writer;
}
