import { createReadStream, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { type Command, Option } from 'commander';
import { systemClock } from '../core/clock.ts';
import { durationMs } from '../core/duration.ts';
import { messageOf, SluiceError } from '../core/errors.ts';
import { topicNames } from '../core/topics.ts';
import { reportHtml } from '../verify/html.ts';
import { reportOf, reportText } from '../verify/report.ts';
import { readTruth, type Truth } from '../verify/truth-file.ts';
import { verify } from '../verify/verify.ts';
import { readConfig } from './config-sources.ts';
import { addExistingFlags, withBusAndStore } from './existing.ts';
import { type CommonFlags, flagValues } from './flags.ts';
import { readRules } from './rules.ts';

export interface VerifyFlags extends CommonFlags {
  readonly truth: string;
  readonly wait: string;
  readonly html?: string;
  readonly json?: boolean;
  readonly all?: boolean;
}

const listed = 20;

export function addVerifyOptions(command: Command): Command {
  return addExistingFlags(command)
    .addOption(new Option('--truth <file>', 'what a simulated fleet wrote of its messages').makeOptionMandatory())
    .option('--wait <time>', 'the longest to wait for processors and for the last windows to close', '90s')
    .option('--all', `list every problem, not ${listed} of each kind`)
    .option('--html <file>', 'write the report as one page')
    .option('--json', 'print the report as JSON')
    .addHelpText(
      'after',
      `
Reads the bus and the store, and changes nothing in them. Progress goes to standard error, the report to standard output.
Exit codes: 0 all is as the truth says · 1 it is not · 2 wrong usage, or a truth that cannot be read

Try it:
  sluice verify --truth truth.ndjson
  sluice verify --truth truth.ndjson --json | jq .messages`,
    );
}

export async function runVerify(flags: VerifyFlags): Promise<void> {
  const config = readConfig(flags.config, flagValues(flags));
  const rules = readRules(config);
  const waitMs = readWait(flags.wait);
  const truth = await readTruthFile(flags.truth);
  await withBusAndStore(config, async (bus, store) => {
    const outcome = await verify({
      truth,
      bus,
      store,
      topics: topicNames(config.topics.prefix),
      options: config.processing,
      rules,
      waitMs,
      maxListed: flags.all === true ? Number.POSITIVE_INFINITY : listed,
      clock: systemClock,
      progress: (text) => process.stderr.write(`${text}\n`),
    });
    const report = reportOf(outcome);
    if (flags.html !== undefined) writeFileSync(flags.html, reportHtml(report));
    console.log(flags.json === true ? JSON.stringify(report, null, 2) : reportText(report));
    if (!report.ok) process.exitCode = 1;
  });
}

function readWait(text: string): number {
  const parsed = durationMs.safeParse(text);
  if (parsed.success) return parsed.data;
  throw new SluiceError('CONFIG_INVALID', `--wait: ${parsed.error.issues[0]!.message}`);
}

async function readTruthFile(file: string): Promise<Truth> {
  const input = createReadStream(file);
  try {
    return await readTruth(createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY }), file);
  } catch (error) {
    if (error instanceof SluiceError) throw error;
    throw new SluiceError('CONFIG_INVALID', `the truth cannot be read: ${messageOf(error)}`);
  } finally {
    input.destroy();
  }
}
