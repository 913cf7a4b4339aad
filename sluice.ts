#!/usr/bin/env node
/** The command line. Each command is a thin wrapper: what it does is in `cli/` and `pipeline.ts`. */
import { Command, Option } from 'commander';
import { addCommand } from './cli/command.ts';
import { printConfig } from './cli/config.ts';
import { addExplain } from './cli/explain.ts';
import { type CommonFlags, commonFlags } from './cli/flags.ts';
import { processFile } from './cli/process.ts';
import { addRecompute } from './cli/recompute.ts';
import { addSimulate } from './cli/simulate/command.ts';
import { addState } from './cli/state.ts';
import { addUsers } from './cli/users/command.ts';
import { addVerifyOptions, runVerify, type VerifyFlags } from './cli/verify.ts';
import { version } from './cli/version.ts';
import { messageOf, SluiceError } from './core/errors.ts';

const program = new Command('sluice')
  .description('IoT telemetry pipeline: MQTT in, an event bus, stream processing, time series and alerts out.')
  .version(version)
  // Else the flags of `simulate` would take those of the commands below it.
  .enablePositionalOptions()
  .exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? 0 : 2))
  .showHelpAfterError('(add --help for what there is)')
  .addHelpText(
    'after',
    `
Configuration: built-in defaults, then sluice.yaml, then environment (SLUICE_…, KAFKA_…, INFLUX_…), then flags.
\`sluice config\` prints what is in force.

Exit codes: 0 done · 1 failed · 2 wrong usage or configuration · 130 ended by a second signal

Try it:
  sluice start --demo
  mosquitto_pub -q 1 -t iot/lab/s1/telemetry -m '{"temperature":21.5}'`,
  );

/** The pipeline and all that it needs are loaded by the commands that run it: the others start, and stay, without. */
async function runRoles(...args: Parameters<typeof import('./cli/run.ts').runRoles>): Promise<void> {
  await (await import('./cli/run.ts')).runRoles(...args);
}

/** A command that takes the flags of the configuration. */
function command(name: string, description: string): Command {
  const made = program.command(name).description(description);
  for (const option of commonFlags) made.addOption(option);
  return made;
}

command('start', 'run everything in this process: gateway, processor, API and live page')
  .option('--demo', 'add a small simulated fleet')
  .action((flags: CommonFlags & { demo?: boolean }) =>
    runRoles({ gateway: true, processor: true, page: true }, flags, { demo: flags.demo === true }),
  );
command('gateway', 'run one MQTT gateway; run as many as you need')
  .option('--workers <n>', 'processes that share the MQTT port, with one address for health and metrics')
  .action(async (flags: CommonFlags) => (await import('./cli/gateway.ts')).runGateway(flags));
command('processor', 'run one stream processor; partitions are shared among all that run').action(
  (flags: CommonFlags) => runRoles({ gateway: false, processor: true, page: false }, flags),
);
command('web', 'serve the live page and the API for gateways and processors in other processes').action(
  (flags: CommonFlags) => runRoles({ gateway: false, processor: false, page: true }, flags),
);
command('setup', 'create the topics and buckets that are missing, with their settings')
  .option('--json', 'print what was created as JSON')
  .action(async (flags: CommonFlags & { json?: boolean }) => (await import('./cli/setup.ts')).runSetup(flags));
command('config', 'print the configuration in force, secrets hidden')
  .option('--json', 'print it as JSON')
  .option('--all', 'print every key with its meaning, default and environment variable')
  .action((flags: CommonFlags & { json?: boolean; all?: boolean }) => printConfig(flags));
command('process', 'run the stages of the pipeline over a file and print every output as NDJSON')
  .addOption(new Option('--in <file>', 'records to process, NDJSON; - for standard input').makeOptionMandatory())
  .option('--no-flush', 'leave windows open at the end of the input')
  .addHelpText(
    'after',
    `
A line in: {"topic": "iot/lab/s1/telemetry", "payload": {"temperature": 21.5}, "receivedAtMs": 1760000000000}
or with "payloadText" or "payloadBase64"; a tick: {"tick": true, "receivedAtMs": 1760000002000}
A line out: {"kind": "reading" | "rollup" | "late" | "duplicate" | "deadLetter" | "alert", …}`,
  )
  .action((flags: CommonFlags & { in: string; flush: boolean }) => processFile(flags));
addSimulate(program);
addUsers(program);
addRecompute(program);
addExplain(program);
addState(program);
addCommand(program);
addVerifyOptions(
  program.command('verify').description('prove what became of every message of a simulated fleet'),
).action((flags: VerifyFlags) => runVerify(flags));

// Whoever reads our output may have seen enough, as `head` does: that is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit(0);
});
try {
  await program.parseAsync();
} catch (error) {
  const code = error instanceof SluiceError ? error.code : 'UNEXPECTED';
  process.stderr.write(`sluice: ${code}: ${messageOf(error)}\n`);
  if (!(error instanceof SluiceError)) process.stderr.write(`${error instanceof Error ? error.stack : ''}\n`);
  // Not left to the event loop: what could not be closed in time would keep the process, and its partitions, for ever.
  process.exit(code === 'CONFIG_INVALID' ? 2 : 1);
}
