/** `npm run chaos`: as many runs as asked for, each with a seed of its own; the first that fails ends it with exit code 1. */
import { randomInt } from 'node:crypto';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { reportText } from '../../verify/report.ts';
import { type ChaosResult, runChaos } from './run.ts';
import { type SetupName, setupNames } from './setups.ts';

const { values: flags } = parseArgs({
  options: {
    on: { type: 'string', default: 'services' },
    seed: { type: 'string' },
    runs: { type: 'string', default: '1' },
    minutes: { type: 'string', default: '1' },
    faults: { type: 'string' },
    devices: { type: 'string', default: '200' },
    rate: { type: 'string', default: '1000' },
    folder: { type: 'string', default: tmpdir() },
    identities: { type: 'boolean', default: false },
    keep: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

if (flags.help) {
  console.log(`npm run chaos -- [--on services|roles|embedded] [--minutes M] [--runs N] [--seed S] [--faults N] [--devices N] [--rate R]
                 [--identities] [--folder DIR] [--keep] [--json]
  A fleet that breaks its messages on purpose, a pipeline that is killed, frozen, restarted, starved of disk and told a
  wrong time, and then \`sluice verify\`.
  --on WHAT      services: two gateways, two processors, Kafka and InfluxDB; roles: gateway and two processors on the
                 embedded bus and store; embedded: one process (services)
  --minutes M    of load; the pauses until all is stored come on top (1)
  --runs N       runs one after the other; the seed goes up by one (1)
  --seed S       of the fleet and of the plan of faults; default: a new one
  --faults N     in a run, at least one of each part; default: 14 a minute
  --devices N    devices (200)
  --rate R       messages per second of all devices together (1000)
  --identities   each device connects as itself, instead of as one user for all
  --folder DIR   where the evidence of a run is put: plan, logs, truth, report, data (the system's folder for temporary files)
  --keep         leave it there also when all is well
  --json         one line of JSON for each run
Kafka and InfluxDB are found as \`npm test\` finds them. Exit codes: 0 all is accounted for · 1 it is not · 2 wrong usage`);
  process.exit(0);
}

const waitMs = 90_000;
/** Of the problems; all are in `verify.json`. */
const listed = 20;
const problems: string[] = [];
const on = setupNames.find((name) => name === flags.on);
if (on === undefined) problems.push(`--on ${flags.on}: there are ${setupNames.join(', ')}`);
const firstSeed = flags.seed === undefined ? randomInt(1, 1_000_000) : wholeOf('seed', flags.seed, 0);
const runs = wholeOf('runs', flags.runs, 1);
const minutes = numberOf('minutes', flags.minutes, 0.1);
const faults = flags.faults === undefined ? Math.ceil(14 * minutes) : wholeOf('faults', flags.faults, 1);
const devices = wholeOf('devices', flags.devices, 1);
const rate = numberOf('rate', flags.rate, 1);
if (on === undefined || problems.length > 0) {
  console.error(`chaos: wrong usage\n  ${problems.join('\n  ')}`);
  process.exit(2);
}

for (let run = 0; run < runs; run++) {
  if (!(await isAccountedFor(on, firstSeed + run))) {
    process.exitCode = 1;
    break;
  }
}

async function isAccountedFor(setup: SetupName, seed: number): Promise<boolean> {
  await mkdir(flags.folder, { recursive: true });
  const folder = await mkdtemp(join(flags.folder, `sluice-chaos-${setup}-${seed}-`));
  process.stderr.write(`seed ${seed} on ${setup}: ${minutes} min, evidence in ${folder}\n`);
  const progress = (line: string) => void process.stderr.write(`${line}\n`);
  try {
    const size = { loadMs: Math.round(minutes * 60_000), faults, kills: 0, devices, rate, speed: 1, waitMs };
    const { identities } = flags;
    const result = await runChaos({ on: setup, seed, ...size, identities, folder, progress });
    console.log(flags.json ? JSON.stringify({ setup, seed, folder, ...result }) : textOf(setup, seed, result));
    if (result.ok && !flags.keep) await rm(folder, { recursive: true });
    if (!result.ok) sayHowToRepeat(setup, seed, folder);
    return result.ok;
  } catch (error) {
    sayHowToRepeat(setup, seed, folder);
    throw error;
  }
}

function sayHowToRepeat(setup: SetupName, seed: number, folder: string): void {
  const how = `--on ${setup} --seed ${seed} --minutes ${minutes} --faults ${faults} --devices ${devices} --rate ${rate}${flags.identities ? ' --identities' : ''}`;
  process.stderr.write(`\nThe evidence is in ${folder}\nThe same seed again: npm run chaos -- ${how}\n`);
}

/** One line when all is well, the whole report when it is not. */
function textOf(setup: SetupName, seed: number, { ok, faults: suffered, simulateCode, report }: ChaosResult): string {
  const kinds = Object.entries(Object.groupBy(suffered, ({ kind }) => kind));
  const what = kinds.map(([kind, list]) => `${list.length} ${kind}`).join(', ');
  const head = `seed ${seed} on ${setup}: ${ok ? 'ok' : 'NOT OK'}; ${suffered.length} faults (${what})`;
  if (report === null) return `${head}; verify gave no report, see verify.log`;
  if (!ok)
    return `${head}; simulate ended with ${simulateCode}\n${reportText({ ...report, problems: report.problems.slice(0, listed) })}`;
  const { messages, duplicated, rollups, alerts } = report;
  const alertText = alerts === null ? '' : `, alerts precision ${alerts.precision} recall ${alerts.recall}`;
  const counts = `${messages.acknowledged} acknowledged, ${messages.lost} lost, ${duplicated.storedTwice} stored twice`;
  return `${head}; ${counts}, ${rollups.differing} of ${rollups.compared} rollups differ${alertText}`;
}

function numberOf(name: string, given: string, atLeast: number): number {
  const number = Number(given);
  if (!(number >= atLeast)) problems.push(`--${name} ${given}: expected a number, at least ${atLeast}`);
  return number;
}

function wholeOf(name: string, given: string, atLeast: number): number {
  const number = numberOf(name, given, atLeast);
  if (number >= atLeast && !Number.isInteger(number)) problems.push(`--${name} ${given}: expected a whole number`);
  return number;
}
