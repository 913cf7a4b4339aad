/** `sluice simulate replay`: a recording, sent as its devices would. */
import { basename } from 'node:path';
import { z } from 'zod';
import { systemClock } from '../../core/clock.ts';
import { SluiceError } from '../../core/errors.ts';
import { formats } from '../../simulator/format.ts';
import { defaultSimulatorOptions as defaults, type SimulatorOptions } from '../../simulator/options.ts';
import { Recording } from '../../simulator/replay/recording.ts';
import { Replay } from '../../simulator/replay/replay.ts';
import type { Mapping } from '../../simulator/replay/rows.ts';
import {
  connectionFlags,
  type FlagHelp,
  type Flags,
  parseFlags,
  readConnectionFlags,
  type Surroundings,
} from './connection-flags.ts';
import { type Reporting, reportingFlags, reportingSchema } from './reporting.ts';
import { runSender, surroundings } from './run.ts';

const units = { s: 1000, ms: 1, us: 1e-3, ns: 1e-6 } as const;
const unitNames = Object.keys(units) as (keyof typeof units)[];
const clientId = '{site}-{device}';

export const replayFlags: readonly FlagHelp[] = [
  ['--device-column <name>', 'the column that names the device', 'device'],
  ['--site-column <name>', 'the column that names its site, if there is one', 'site'],
  ['--site <name>', 'the site of all that have none', 'replay'],
  ['--time-column <name>', 'the column with the time: ISO 8601, or a number since the epoch', 'time'],
  ['--time-unit <unit>', `of numbers: ${unitNames.join(', ')}`, 'ms'],
  ['--fields <list>', 'the columns to send, with another name if need be: temp=temperature,hum; default: all others'],
  [
    '--speed <factor>',
    'so many times as fast as it was recorded, such as 60x; max (with --keep-times): as it is taken',
    '1x',
  ],
  ['--keep-times', 'ts is the time that was recorded; else it is when the row is sent'],
  ['--format <name>', `of the payload: ${formats.join(', ')}`, defaults.format],
  ['-R, --connrate <n>', 'connections opened per second', defaults.connectRate],
  ...connectionFlags.map((flag): FlagHelp => (flag[0].startsWith('--client-id') ? [flag[0], flag[1], clientId] : flag)),
  ['--truth <file>', 'write what became of every message, for `sluice verify`'],
  ...reportingFlags,
];

const schema = z.object({
  deviceColumn: z.string().min(1).default('device'),
  siteColumn: z.string().min(1).default('site'),
  site: z
    .string()
    .regex(/^[^/+#\0]+$/, 'expected a name without / + #')
    .default('replay'),
  timeColumn: z.string().min(1).default('time'),
  timeUnit: z.enum(unitNames, `expected ${unitNames.join(', ')}`).default('ms'),
  fields: z
    .string()
    .transform((list) => new Map(list.split(',').map((entry) => columnAndField(entry.trim()))))
    .refine((fields) => [...fields.keys(), ...fields.values()].every((name) => name !== ''), 'expected names')
    .optional(),
  speed: z
    .string()
    .regex(/^(max|(?=.*[1-9])\d+(\.\d+)?x?)$/, 'expected a factor such as 60x, or max')
    .transform((text) => (text === 'max' ? Number.POSITIVE_INFINITY : Number.parseFloat(text)))
    .default(1),
  keepTimes: z.literal(true).optional(),
  format: z.enum(formats, `expected ${formats.join(' or ')}`).default(defaults.format),
  connrate: z.coerce.number().positive().default(defaults.connectRate),
  ...reportingSchema.shape,
});

export interface ReplaySettings {
  readonly mapping: Mapping;
  readonly speed: number;
  readonly keepsTimes: boolean;
  /** All but when it starts. */
  readonly options: Omit<SimulatorOptions, 'scenario' | 'backfillMs'>;
  readonly reporting: Reporting;
}

/** Checks the flags as a whole. Throws CONFIG_INVALID that lists every error. */
export function readReplayFlags(flags: Flags, around: Surroundings): ReplaySettings {
  const problems: string[] = [];
  const connection = readConnectionFlags({ clientId, ...flags }, around, problems);
  const values = parseFlags(schema, flags, problems);
  if (values?.speed === Number.POSITIVE_INFINITY && values.keepTimes !== true) {
    problems.push('--speed max needs --keep-times: sent all at once, rows have no other times');
  }
  if (values?.pipeline !== undefined && connection?.qos === 0) {
    problems.push('--pipeline needs --qos 1 or 2: it asks for what was acknowledged');
  }
  if (connection === null || values === null || problems.length > 0) {
    throw new SluiceError('CONFIG_INVALID', `wrong usage, ${problems.length} error(s):\n  ${problems.join('\n  ')}`);
  }
  const { deviceColumn, siteColumn, site, timeColumn, timeUnit, fields = null, speed, format, connrate } = values;
  const { report, out, assert, pipeline } = values;
  return {
    mapping: {
      device: deviceColumn,
      site: siteColumn,
      defaultSite: site,
      time: timeColumn,
      timeUnitMs: units[timeUnit],
      fields,
    },
    speed,
    keepsTimes: values.keepTimes === true,
    options: { ...connection, fleets: [], format, speed, connectRate: connrate },
    reporting: { report, out, assert, pipeline },
  };
}

export async function replayFile(file: string, flags: Flags): Promise<void> {
  const { mapping, speed, keepsTimes, options, reporting } = readReplayFlags(flags, surroundings);
  const recording = await Recording.open(file, mapping);
  const startMs = systemClock.nowMs();
  const backfillMs = keepsTimes ? Math.max(0, startMs - recording.firstMs) : 0;
  await runSender(
    { ...options, scenario: `replay of ${basename(file)}`, backfillMs },
    reporting,
    flags,
    (simulator) => {
      return new Replay(recording, simulator, { startMs, speed, keepsTimes });
    },
  );
}

function columnAndField(entry: string): [column: string, field: string] {
  const at = entry.indexOf('=');
  return at < 0 ? [entry, entry] : [entry.slice(0, at), entry.slice(at + 1)];
}
