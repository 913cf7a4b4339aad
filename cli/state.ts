/** `sluice state`: what the processors remember. */
import { type Command, Option } from 'commander';
import { systemClock } from '../core/clock.ts';
import { SluiceError } from '../core/errors.ts';
import { partitionOf } from '../core/partition.ts';
import { topicNames } from '../core/topics.ts';
import { type InspectContext, inspectPartition, type PartitionReport } from '../processors/inspect.ts';
import { readConfig } from './config-sources.ts';
import { addExistingFlags, withBus } from './existing.ts';
import { type CommonFlags, flagValues } from './flags.ts';
import { readRules } from './rules.ts';
import { partitionText } from './state-text.ts';

interface ShowFlags extends CommonFlags {
  readonly partition?: string;
  readonly device?: string;
  readonly json?: boolean;
}

export function addState(program: Command): void {
  const command = program.command('state').description('look at what the processors remember');
  addExistingFlags(command.command('show').description('show what the committed snapshots of partitions hold'))
    .addOption(new Option('--partition <number>', 'one partition (default: all)').conflicts('device'))
    .option('--device <site/device>', 'its partition, and all that is known of the device')
    .option('--json', 'print it as JSON')
    .addHelpText(
      'after',
      `
Reads the commits of the consumer group and the snapshots that they name, and changes nothing: the processors may run.
A snapshot is up to processing.snapshotEveryMs old; what came since is in no snapshot yet.
Exit codes: 0 shown · 1 a snapshot cannot be read, or nothing is known of the device · 2 wrong usage

Try it:
  sluice state show --partition 0
  sluice state show --device lab/s1 --json | jq .[0].state.device.windows`,
    )
    .action(show);
}

async function show(flags: ShowFlags): Promise<void> {
  const config = readConfig(flags.config, flagValues(flags));
  const { device = null } = flags;
  if (device !== null && !device.includes('/')) {
    throw new SluiceError('CONFIG_INVALID', `--device: expected site/device, such as lab/s1; got ${device}`);
  }
  const rules = readRules(config);
  await withBus(config, async (bus) => {
    const context: InspectContext = {
      bus,
      topics: topicNames(config.topics.prefix),
      group: config.processing.group,
      options: { ...config.processing, windows: config.windows },
      rules,
    };
    const count = await bus.partitionCount(context.topics.raw);
    const reports: PartitionReport[] = [];
    for (const partition of chosen(flags.partition, device, count)) {
      const report = await inspectPartition(context, partition, device);
      reports.push(report);
      if (flags.json !== true) console.log(partitionText(report, context, systemClock.nowMs(), device));
    }
    if (flags.json === true) console.log(JSON.stringify(reports, null, 2));
    const isMissing = device !== null && reports.every(({ state }) => (state?.device ?? null) === null);
    if (isMissing || reports.some(({ problem }) => problem !== null)) process.exitCode = 1;
  });
}

function chosen(partition: string | undefined, device: string | null, count: number): number[] {
  if (device !== null) return [partitionOf(device, count)];
  if (partition === undefined) return Array.from({ length: count }, (_, i) => i);
  const number = Number(partition);
  if (Number.isInteger(number) && number >= 0 && number < count) return [number];
  throw new SluiceError('CONFIG_INVALID', `--partition: expected 0 to ${count - 1}, got ${partition}`);
}
