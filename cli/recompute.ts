/** `sluice recompute`: rebuilds windows from stored readings, or readings and windows from what the bus still holds. */
import type { Command } from 'commander';
import { systemClock } from '../core/clock.ts';
import { SluiceError } from '../core/errors.ts';
import { momentForms, momentMs } from '../core/moment.ts';
import { topicNames } from '../core/topics.ts';
import type { ProcessingOptions } from '../processors/options.ts';
import { recomputeFromBus } from '../processors/recompute/from-bus.ts';
import { type DeviceName, type RecomputeContext, recompute } from '../processors/recompute/recompute.ts';
import { type Range, roundedOutward } from '../processors/recompute/scope.ts';
import { type Counts, skippedReasons, Tally } from '../processors/recompute/summary.ts';
import { measurementsOf } from '../processors/window/measurements.ts';
import { readConfig } from './config-sources.ts';
import { endOfRun } from './end-of-run.ts';
import { addExistingFlags, withBusAndStore } from './existing.ts';
import { type CommonFlags, flagValues } from './flags.ts';
import { makeLogger } from './logger.ts';
import { isoUs } from './text.ts';

interface RecomputeFlags extends CommonFlags {
  readonly from?: string;
  readonly to?: string;
  readonly device?: string;
  readonly fromBus?: boolean;
  readonly dryRun?: boolean;
  readonly json?: boolean;
}

interface Report {
  /** `null`: all that the bus holds. */
  readonly from: string | null;
  readonly to: string | null;
  readonly fromBus: boolean;
  readonly dryRun: boolean;
  /** It was ended by a signal: what is told was done. */
  readonly interrupted: boolean;
  readonly devices: number;
  readonly readings: number;
  readonly measurements: Readonly<Record<string, Counts & { readonly from?: string; readonly to?: string }>>;
}

export function addRecompute(program: Command): void {
  addExistingFlags(program.command('recompute'))
    .description('rebuild rollups and windows from the stored readings, late ones included')
    .option('--from <time>', `first moment: ${momentForms}`)
    .option('--to <time>', 'end, exclusive; the same forms')
    .option('--device <site/device>', 'one device; else all')
    .option('--from-bus', 'restore readings and windows from what the raw topic holds; --from and --to may be left out')
    .option('--dry-run', 'tell what would be written, and write nothing')
    .option('--json', 'print the summary as JSON')
    .addHelpText(
      'after',
      `
The range is rounded outward to whole windows. Windows that a processor can still correct by itself are left to it: run
it again when they are over. May run beside the pipeline, and be interrupted: run it again. Progress goes to standard error.
Exit codes: 0 done · 1 failed, or interrupted · 2 wrong usage or configuration

Try it:
  sluice recompute --from -1d --to now --dry-run
  sluice recompute --from 2026-01-01T00:00:00Z --to 2026-01-02T00:00:00Z --device plant/pump1
  sluice recompute --from-bus     # after the disk of the store was lost`,
    )
    .action((flags: RecomputeFlags) => runRecompute(flags));
}

async function runRecompute(flags: RecomputeFlags): Promise<void> {
  const config = readConfig(flags.config, flagValues(flags));
  const isFromBus = flags.fromBus === true;
  const isDryRun = flags.dryRun === true;
  const range = readRange(flags, isFromBus);
  const device = readDevice(flags.device);
  const options = { ...config.processing, windows: config.windows };
  const tally = new Tally();
  const interrupted = new AbortController();
  void endOfRun(makeLogger(config.log), {}).then(() => interrupted.abort());
  await withBusAndStore(config, async (bus, store) => {
    const context: RecomputeContext = {
      bus,
      store,
      topics: topicNames(config.topics.prefix),
      group: config.processing.group,
      options,
      rawRetentionMs: config.retention.rawMs,
      clock: systemClock,
      signal: interrupted.signal,
      tell: (text) => process.stderr.write(`${text}\n`),
    };
    try {
      if (isFromBus) await recomputeFromBus(context, { range, device, isDryRun }, tally);
      else await recompute(context, { range: range!, device, isDryRun }, tally);
    } catch (error) {
      if (!interrupted.signal.aborted) throw error;
      process.exitCode = 1;
    }
  });
  const { devices, readings, measurements } = tally.summary();
  const report: Report = {
    from: range === null ? null : isoUs(range.fromUs),
    to: range === null ? null : isoUs(range.toUs),
    fromBus: isFromBus,
    dryRun: isDryRun,
    interrupted: interrupted.signal.aborted,
    devices,
    readings,
    measurements: withRanges(measurements, range, options),
  };
  console.log(flags.json === true ? JSON.stringify(report, null, 2) : textOf(report));
}

/** What was looked at: of each measurement whole windows. */
function withRanges(
  measurements: Readonly<Record<string, Counts>>,
  range: Range | null,
  options: ProcessingOptions,
): Report['measurements'] {
  if (range === null) return measurements;
  const known = new Map(measurementsOf(options).map((each) => [each.name, each]));
  return Object.fromEntries(
    Object.entries(measurements).map(([name, counts]) => {
      const measurement = known.get(name);
      if (measurement === undefined) return [name, counts];
      const { fromUs, toUs } = roundedOutward(measurement, range);
      return [name, { from: isoUs(fromUs), to: isoUs(toUs), ...counts }];
    }),
  );
}

function textOf({ from, to, fromBus, dryRun, interrupted, devices, readings, measurements }: Report): string {
  const what = `${devices} ${devices === 1 ? 'device' : 'devices'}, ${readings} readings from the ${fromBus ? 'bus' : 'store'}`;
  const range = from === null ? 'all that the bus holds' : `${from} to ${to}`;
  const lines = [`${range}: ${what}${dryRun ? '; nothing was written, these would be:' : ''}`];
  const used = new Set<string>();
  for (const [name, { added, changed, unchanged, skipped, ...rounded }] of Object.entries(measurements)) {
    const counts = [`${added} added`, `${changed} changed`, `${unchanged} unchanged`];
    for (const [reason, count] of Object.entries(skipped)) {
      counts.push(`${count} left (${reason})`);
      used.add(reason);
    }
    const windows = rounded.from === undefined ? '' : `, windows from ${rounded.from} to ${rounded.to}`;
    lines.push(`  ${name}: ${counts.join(', ')}${windows}`);
  }
  for (const [reason, text] of Object.entries(skippedReasons)) if (used.has(reason)) lines.push(`${reason}: ${text}`);
  if (interrupted) lines.push('interrupted: what is told was done; run it again for the rest');
  return lines.join('\n');
}

function readRange({ from, to }: RecomputeFlags, isFromBus: boolean): Range | null {
  if (from === undefined && to === undefined && isFromBus) return null;
  if (from === undefined || to === undefined) {
    throw new SluiceError('CONFIG_INVALID', 'give --from and --to, or --from-bus alone for all that the bus holds');
  }
  const nowMs = systemClock.nowMs();
  const [fromMs, toMs] = [readMoment('--from', from, nowMs), readMoment('--to', to, nowMs)];
  if (fromMs >= toMs) throw new SluiceError('CONFIG_INVALID', `--from ${from} is not before --to ${to}`);
  return { fromUs: fromMs * 1000, toUs: toMs * 1000 };
}

function readMoment(flag: string, text: string, nowMs: number): number {
  const timeMs = momentMs(text, nowMs);
  if (timeMs === null) throw new SluiceError('CONFIG_INVALID', `${flag} is not a time: give ${momentForms}`);
  return timeMs;
}

function readDevice(text: string | undefined): DeviceName | null {
  if (text === undefined) return null;
  const [site, device, ...more] = text.split('/');
  if (!site || !device || more.length > 0) {
    throw new SluiceError('CONFIG_INVALID', `--device: expected site/device, got ${JSON.stringify(text)}`);
  }
  return { site, device };
}
