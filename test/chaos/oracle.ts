/**
 * `npm run oracle:kafka`: streams of the oracle on real Kafka and InfluxDB, while something happens to the processors or to
 * InfluxDB. What is stored of windows and what was alerted must be what the oracle says.
 */
import { parseArgs } from 'node:util';
import { InfluxProxy } from '../contracts/store/influx-proxy.ts';
import { startOwnInflux } from '../support/influx-server.ts';
import { startKafka } from '../support/kafka-server.ts';
import { type OracleResult, type OracleRun, runOracle } from './oracle-run.ts';
import { freeze, handover, kills, lostDisk, outage, takeover } from './troubles.ts';

const troubles = ['kills', 'outage', 'freeze', 'takeover', 'handover', 'lost-disk'] as const;
type TroubleName = (typeof troubles)[number];

const { values: flags } = parseArgs({
  options: {
    trouble: { type: 'string', default: 'kills' },
    runs: { type: 'string', default: '30' },
    seed: { type: 'string', default: '1' },
    seconds: { type: 'string', default: '20' },
    every: { type: 'string', default: '3' },
    for: { type: 'string', default: '30' },
    devices: { type: 'string', default: '60' },
    steps: { type: 'string', default: '6000' },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

if (flags.help) {
  console.log(`npm run oracle:kafka -- [--trouble NAME] [--runs N] [--seed S] [--seconds T] [--every T] [--for T] [--devices N]
                        [--steps N] [--json]
  Streams of the oracle on Kafka and InfluxDB while something happens; then all points of rollups, windows and states, all
  alerts and those that are open, against the oracle.
  --trouble NAME  kills     one of three processors is killed with -9 every few seconds (default)
                  outage    InfluxDB is stopped, goes on, is killed with -9 inside a write and restarted on its data
                  freeze    InfluxDB is stopped and goes on
                  takeover  a processor is stopped inside a write for two sessions, another takes its partitions, the old
                            write arrives, the first wakes up and gets its partitions again
                  handover  partitions go from one processor to another and back, by silence and by leaving
                  lost-disk in the end InfluxDB is killed and comes back with nothing; \`sluice recompute --from-bus\`
  --runs N      runs one after the other; the seed goes up by one (30)
  --seed S      of the first one (1)
  --seconds T   over which the stream is appended (20)
  --every T     of kills: seconds between two (3)
  --for T       of outage and freeze: seconds for which InfluxDB is stopped (30)
  --devices N   devices (60)
  --steps N     of the stream, about as many records (6000)
  --json        one line of JSON for each run
Kafka and the influxd program are found as \`npm test\` finds them. Exit codes: 0 all is as the oracle says · 1 it is not ·
2 wrong usage`);
  process.exit(0);
}

const problems: string[] = [];
const trouble = troubles.find((name) => name === flags.trouble);
if (trouble === undefined) problems.push(`--trouble ${flags.trouble}: there are ${troubles.join(', ')}`);
const runs = numberOf('runs');
const firstSeed = numberOf('seed');
const loadMs = numberOf('seconds') * 1000;
const everyMs = numberOf('every') * 1000;
const forMs = numberOf('for') * 1000;
const devices = numberOf('devices');
const steps = numberOf('steps');
if (problems.length > 0) {
  console.error(`oracle: wrong usage\n  ${problems.join('\n  ')}`);
  process.exit(2);
}

const [kafka, influx] = await Promise.all([startKafka(), startOwnInflux()]);
let proxy: InfluxProxy | null = null;
try {
  if ('skip' in kafka) throw new Error(kafka.skip);
  if ('skip' in influx) throw new Error(influx.skip);
  proxy = new InfluxProxy(influx.url);
  const proxyUrl = await proxy.listen();
  const services = {
    KAFKA_BROKERS: kafka.brokers,
    INFLUX_URL: influx.url,
    INFLUX_TOKEN: influx.token,
    INFLUX_ORG: influx.org,
  };
  for (let seed = firstSeed; seed < firstSeed + runs; seed++) {
    proxy.reset();
    const setups: Record<TroubleName, Pick<OracleRun, 'processors' | 'trouble' | 'influxUrlOf' | 'afterwards'>> = {
      kills: { processors: 3, trouble: kills(seed, everyMs) },
      outage: { processors: 1, trouble: outage(seed, influx, proxy, forMs), influxUrlOf: () => proxyUrl },
      freeze: { processors: 2, trouble: freeze(influx, forMs) },
      takeover: {
        processors: 2,
        trouble: takeover(proxy),
        influxUrlOf: (processor) => (processor === 0 ? proxyUrl : influx.url),
      },
      handover: { processors: 2, trouble: handover },
      'lost-disk': { processors: 1, trouble: async () => ({}), afterwards: lostDisk(influx) },
    };
    const result = await runOracle({ seed, devices, steps, loadMs, services, ...setups[trouble!] });
    report(result);
    if (result.differences.length === 0) continue;
    process.exitCode = 1;
    break;
  }
} finally {
  await proxy?.close();
  for (const server of [kafka, influx]) if (!('skip' in server)) await server.close();
}

function report(result: OracleResult): void {
  if (flags.json) {
    console.log(JSON.stringify(result));
    return;
  }
  const { seed, records, points, alerts, trouble: troubled, mostMemoryMiB, differences, folder } = result;
  const counts = Object.entries(troubled).map(([name, count]) => `${name} ${count}`);
  const facts = [`${records} records`, ...counts, `${points} points`, `${alerts} alerts`, `${mostMemoryMiB} MiB`];
  console.log(`seed ${seed}: ${differences.length === 0 ? 'ok' : 'NOT OK'}; ${facts.join(', ')}`);
  for (const difference of differences.slice(0, 10)) console.log(`  ${difference}`);
  if (differences.length > 0)
    console.log(`  ${differences.length} differences; logs of the processors are in ${folder}`);
}

function numberOf(name: 'runs' | 'seed' | 'seconds' | 'every' | 'for' | 'devices' | 'steps'): number {
  const number = Number(flags[name]);
  if (!(number > 0)) problems.push(`--${name} ${flags[name]}: expected a number above 0`);
  return number;
}
