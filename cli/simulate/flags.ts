/** The flags of `sluice simulate`: what they change of a scenario, and how it is run. */
import { z } from 'zod';
import { count } from '../../core/config-schema.ts';
import { durationMs } from '../../core/duration.ts';
import { SluiceError } from '../../core/errors.ts';
import { parseShortFaults } from '../../simulator/faults/spec.ts';
import { type DeviceIdentity, identities } from '../../simulator/fleet.ts';
import { formats } from '../../simulator/format.ts';
import { defaultSimulatorOptions as defaults, type SimulatorOptions } from '../../simulator/options.ts';
import { ratePerSecond, resized } from '../../simulator/scenario/resize.ts';
import type { Scenario } from '../../simulator/scenario/scenario.ts';
import {
  connectionFlags,
  type FlagHelp,
  type Flags,
  parseFlags,
  readConnectionFlags,
  type Surroundings,
} from './connection-flags.ts';
import { type Reporting, reportingFlags, reportingSchema } from './reporting.ts';

/** Which devices there are. */
export const fleetFlags: readonly FlagHelp[] = [
  ['-f, --file <scenario>', 'a scenario of your own, instead of a name'],
  ['-c, --devices <n>', 'devices in all, each with a connection of its own; default: as in the scenario'],
  ['--sites <list>', 'sites the devices are shared out among, comma-separated; default: as in the scenario'],
];

/** The letters are those of emqtt-bench. */
export const simulateFlags: readonly FlagHelp[] = [
  ...fleetFlags,
  ['-I, --interval <time>', 'between two messages of a device: milliseconds, or 500ms, 10s, 1m'],
  ['--rate <n>', 'messages per second in all, instead of --interval'],
  ['--jitter <part>', 'part of the interval, 0 to 1, by which a message may come late'],
  ['--format <name>', `of the payload: ${formats.join(', ')}`, defaults.format],
  ['--faults <list>', 'what goes wrong besides, such as drop=1%,dup=2%,spike=0.5% (docs/faults.md)'],
  ['--seed <n>', 'same seed, same values; default: as in the scenario'],
  ['--duration <time>', 'how long to send; default: until Ctrl-C'],
  ['-L, --limit <n>', 'messages in all; default: no limit'],
  ['-R, --connrate <n>', 'connections opened per second', defaults.connectRate],
  ['--ramp-up <time>', 'connect all devices evenly over this time, instead of --connrate'],
  ['--backfill <time>', 'begin so far in the past, and send it as fast as it is taken, such as 7d'],
  ['--speed <factor>', 'pass the past so many times as fast as the clock, such as 60x; see below'],
  ...connectionFlags,
  ['--truth <file>', 'write what became of every message, for `sluice verify`'],
  ...reportingFlags,
];

const fleetSchema = z.object({
  devices: count.optional(),
  sites: z
    .string()
    .transform((list) => list.split(',').map((site) => site.trim()))
    .refine((sites) => sites.every((site) => /^[^/+#\0]+$/.test(site)), 'expected names without / + #')
    .optional(),
});

const schema = z.object({
  ...fleetSchema.shape,
  interval: durationMs.optional(),
  rate: z.coerce.number().positive().optional(),
  jitter: z.coerce.number().min(0).max(1).optional(),
  format: z.enum(formats, `expected ${formats.join(' or ')}`).default(defaults.format),
  faults: z
    .string()
    .transform((text, context) => {
      const { faults, problems } = parseShortFaults(text);
      for (const problem of problems) context.addIssue(problem);
      return faults;
    })
    .default([]),
  seed: z.coerce.number().int().min(0).optional(),
  duration: durationMs.optional(),
  limit: count.optional(),
  connrate: z.coerce.number().positive().optional(),
  rampUp: durationMs.refine((ms) => ms > 0, 'expected more than 0').optional(),
  backfill: durationMs.optional(),
  speed: z
    .string()
    .regex(/^\d+(\.\d+)?x?$/, 'expected a factor such as 60x')
    .transform((text) => Number.parseFloat(text))
    .refine((speed) => speed > 1, 'expected more than 1x')
    .optional(),
});
type Values = z.output<typeof schema>;

export interface Simulation {
  readonly options: SimulatorOptions;
  readonly reporting: Reporting;
  /** What the run leaves out, and why. */
  readonly warnings: readonly string[];
}

/** The devices of a run with these flags. Throws CONFIG_INVALID that lists every error. */
export function devicesOf(flags: Flags, scenario: Scenario): DeviceIdentity[] {
  const problems: string[] = [];
  const size = parseFlags(fleetSchema, flags, problems);
  if (size === null) throw wrongUsage(problems);
  return resized(scenario.fleets, size).flatMap(identities);
}

/** Checks the flags as a whole. Throws CONFIG_INVALID that lists every error. */
export function readSimulateFlags(flags: Flags, scenario: Scenario, around: Surroundings): Simulation {
  const problems: string[] = [];
  const connection = readConnectionFlags(flags, around, problems);
  const values = parseFlags(schema, flags, problems);
  const reporting = parseFlags(reportingSchema, flags, problems);
  if (reporting?.pipeline !== undefined && connection?.qos === 0) {
    problems.push('--pipeline needs --qos 1 or 2: it asks for what was acknowledged');
  }
  if (values !== null) problems.push(...contradictions(values, scenario));
  if (connection === null || values === null || reporting === null || problems.length > 0) {
    throw wrongUsage(problems);
  }
  const fleets = resized(scenario.fleets, { ...values, intervalMs: values.interval });
  const devices = fleets.reduce((total, { count }) => total + count, 0);
  const asked = [...scenario.faults, ...values.faults];
  const faults = connection.credentials === null ? asked.filter(({ fault }) => !needsPassword(fault)) : asked;
  return {
    options: {
      ...connection,
      scenario: scenario.name,
      fleets,
      faults,
      format: values.format,
      seed: values.seed ?? scenario.seed,
      ...timeOf(values),
      connectRate: connectRateOf(values, devices),
      limit: values.limit ?? null,
      durationMs: values.duration ?? null,
    },
    reporting,
    warnings:
      faults.length < asked.length
        ? ['security.wrong_password is left out: without a user (--username, --credentials) no password can be wrong']
        : [],
  };
}

function wrongUsage(problems: readonly string[]): SluiceError {
  return new SluiceError('CONFIG_INVALID', `wrong usage, ${problems.length} error(s):\n  ${problems.join('\n  ')}`);
}

function connectRateOf({ rampUp, connrate = defaults.connectRate }: Values, devices: number): number {
  return rampUp === undefined ? connrate : (1000 * devices) / rampUp;
}

function needsPassword(fault: string): boolean {
  return fault === 'security.wrong_password';
}

/** With a speed alone, the run begins so far back that it reaches the present at its end. */
function timeOf({ backfill, speed, duration = 0 }: Values): Pick<SimulatorOptions, 'backfillMs' | 'speed'> {
  if (speed === undefined) return { backfillMs: backfill ?? 0, speed: defaults.speed };
  return { backfillMs: backfill ?? (speed - 1) * duration, speed };
}

function contradictions(values: Values, scenario: Scenario): string[] {
  const { rate, interval, connrate, rampUp, speed, backfill, duration } = values;
  const problems: string[] = [];
  if (rate !== undefined && interval !== undefined) problems.push('--rate and --interval: give one of them');
  if (connrate !== undefined && rampUp !== undefined) problems.push('--connrate and --ramp-up: give one of them');
  if (speed !== undefined && backfill === undefined && duration === undefined) {
    problems.push('--speed needs --backfill or --duration: event time never runs ahead of the clock');
  }
  const fleets = resized(scenario.fleets, { ...values, intervalMs: interval });
  if (fleets.some(({ intervalMs }) => intervalMs < 1)) {
    const most = fleets.reduce((total, { count }) => total + 1000 * count, 0);
    const asked = `${Math.round(ratePerSecond(fleets))} messages per second`;
    problems.push(`${asked}: a device sends 1000 at most, these ${most}: take more --devices, or a lower --rate`);
  }
  return problems;
}
