/** `sluice simulate` and what belongs to it, as commander knows it. */
import type { Command } from 'commander';
import { addFlags } from './connection-flags.ts';
import { fleetFlags, simulateFlags } from './flags.ts';
import { replayFile, replayFlags } from './replay.ts';
import { listDevices, simulate } from './run.ts';
import { initScenario, listScenarios, validateScenarios } from './scenarios.ts';

export function addSimulate(program: Command): void {
  const command = program
    .command('simulate')
    .description('publish like fleets of devices to any MQTT broker')
    .argument('[scenario]', 'one of `sluice simulate ls` (default: quickstart)')
    .enablePositionalOptions();
  addFlags(command, simulateFlags)
    .option('--json', 'the same as --report json')
    .addHelpText(
      'after',
      `
A line per second goes to standard error, the report to standard output. The first Ctrl-C waits for what is
outstanding and reports; the second ends at once.
Exit codes: 0 all was sent, and acknowledged above QoS 0 (with --assert: it holds) · 1 not so · 2 wrong usage

Time: the ts of a message is when it is to be sent. With --backfill 7d the run begins a week ago, sends that as fast as
it is taken and then goes on with the clock; with --speed 60x beside it, at 60 times the pace of the clock. --speed
without --backfill begins so far back that the end of --duration is now. ts is never ahead of the clock.

Try it:
  sluice simulate ls
  sluice simulate cold-chain --duration 2m
  sluice simulate --devices 100 --rate 2000 --duration 10s --assert 'lost==0,puback.p99<250'
  sluice simulate --broker mqtt://test.example:1883 -c 1 -I 5s -t 'site/{site}/{device}'

Each device with a user of its own:
  sluice simulate devices -c 100 | sluice users import - --file users.ndjson --out credentials.ndjson
  sluice simulate -c 100 --credentials credentials.ndjson`,
    )
    .action(simulate);
  command
    .command('ls')
    .description('list the shipped scenarios')
    .option('--json', 'print the list as JSON, with the files')
    .action(listScenarios);
  const devices = command
    .command('devices')
    .description('list the devices of a run as site/device, for `sluice users import`')
    .argument('[scenario]', 'one of `sluice simulate ls` (default: quickstart)');
  addFlags(devices, fleetFlags).option('--json', 'print the list as JSON').action(listDevices);
  command
    .command('init')
    .description('copy a shipped scenario and its alert rules, to make it your own')
    .argument('<name>', 'one of `sluice simulate ls`')
    .argument('[file]', 'where to (default: <name>.yaml here)')
    .option('--force', 'write over files that are there')
    .action(initScenario);
  command
    .command('validate')
    .description('check scenario files; exit code 2 with every error')
    .argument('<file...>')
    .action((files: string[]) => validateScenarios(files));
  const replay = command
    .command('replay')
    .description('send a recording, CSV with a header or NDJSON, as its devices would')
    .argument('<file>', '.csv, else NDJSON: an object a line');
  addFlags(replay, replayFlags)
    .option('--json', 'the same as --report json')
    .addHelpText(
      'after',
      `
Rows are sent in the order of the file, each device on a connection of its own. Lines that cannot be sent are counted,
the first ten named, and the exit code is 1. seq counts the rows of a device.

Time: the first row is sent at once, the others as far apart as they were recorded, divided by --speed; ts is then when
a row is sent. With --keep-times ts is what was recorded, and nothing is skipped: what is not taken in time is sent later.

Try it:
  sluice simulate replay readings.csv --device-column sensor_id --time-column at --fields temp=temperature
  sluice simulate replay last-week.ndjson --keep-times --speed max`,
    )
    .action(replayFile);
}
