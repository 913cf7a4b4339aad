import { createReadStream, existsSync, readdirSync, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { type Command, Option } from 'commander';
import { systemClock } from '../core/clock.ts';
import type { Config } from '../core/config-schema.ts';
import { durationMs } from '../core/duration.ts';
import { messageOf, SluiceError } from '../core/errors.ts';
import { topicNames } from '../core/topics.ts';
import { reportHtml } from '../verify/html.ts';
import { reportOf, reportText } from '../verify/report.ts';
import { readTruth, type Truth } from '../verify/truth-file.ts';
import { verify } from '../verify/verify.ts';
import { readConfig } from './config-sources.ts';
import { type CommonFlags, commonFlags, flagValues } from './flags.ts';
import { makeLogger } from './logger.ts';
import { readRules } from './rules.ts';

export interface VerifyFlags extends CommonFlags {
  readonly truth: string;
  readonly wait: string;
  readonly html?: string;
  readonly json?: boolean;
  readonly all?: boolean;
}

const listed = 20;
/** Of the flags of the configuration: those that say where bus and store are and what was in force. */
const takenFlags = ['--config', '--data-dir', '--rules', '--kafka-brokers', '--influx-url', '--log-level'];

export function addVerifyOptions(command: Command): Command {
  for (const option of commonFlags) if (takenFlags.includes(option.long ?? '')) command.addOption(option);
  return command
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
  mustExist(config);
  const truth = await readTruthFile(flags.truth);
  const log = makeLogger(config.log);
  const { openBus, openStore } = await import('../pipeline.ts');
  const bus = openBus(config, systemClock, log);
  // Looking must delete nothing, however old it is.
  const retention = { ...config.retention, rawMs: Number.POSITIVE_INFINITY, rollupMs: Number.POSITIVE_INFINITY };
  const store = openStore({ ...config, retention }, systemClock, log);
  try {
    await bus.start();
    await store.start();
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
  } finally {
    await store.close();
    await bus.close();
  }
}

function readWait(text: string): number {
  const parsed = durationMs.safeParse(text);
  if (parsed.success) return parsed.data;
  throw new SluiceError('CONFIG_INVALID', `--wait: ${parsed.error.issues[0]!.message}`);
}

/** Opening an embedded bus or store would make an empty one. */
function mustExist({ dataDir, kafka, influx }: Config): void {
  const isEmbedded = kafka.brokers === undefined || influx.url === undefined;
  const isThere = existsSync(dataDir) && readdirSync(dataDir).some((name) => name.endsWith('.sqlite'));
  if (isEmbedded && !isThere) {
    const hint = 'give the folder of the pipeline with --data-dir, or name Kafka and InfluxDB';
    throw new SluiceError('CONFIG_INVALID', `there is no bus or store in ${dataDir}: ${hint}`);
  }
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
