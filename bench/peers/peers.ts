/**
 * The same load through Sluice and through Mosquitto and Telegraf: what it costs, how soon it can be queried, and what
 * is left of it after `kill -9`. See `docs/benchmarks.md` before you compare anything.
 */
import { arch, cpus, platform } from 'node:os';
import { parseArgs } from 'node:util';
import type { Contender } from './contender.ts';
import { type CostFigures, measureCost } from './cost.ts';
import { type LossFigures, measureLoss } from './loss.ts';
import { measureQueryable, type QueryableFigures } from './queryable.ts';
import { openSluice } from './sluice.ts';
import { openTelegraf } from './telegraf.ts';

const contenders: Readonly<Record<string, () => Promise<Contender>>> = {
  sluice: () => openSluice('services'),
  'sluice-embedded': () => openSluice('embedded'),
  'telegraf-kafka': () => openTelegraf('kafka'),
  telegraf: () => openTelegraf('nothing'),
};

const { values: flags } = parseArgs({
  options: {
    only: { type: 'string', default: Object.keys(contenders).join(',') },
    rate: { type: 'string', default: '2000' },
    devices: { type: 'string', default: '200' },
    seconds: { type: 'string', default: '60' },
    kills: { type: 'string', default: '3' },
    down: { type: 'string', default: '5' },
    seed: { type: 'string', default: '1' },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

if (flags.help) {
  console.log(`npm run bench:peers -- [--only A,B] [--rate R] [--devices N] [--seconds S] [--kills N] [--down S] [--seed S] [--json]
  --only A,B     of ${Object.keys(contenders).join(', ')}; default: all
  --rate R       messages per second, QoS 1 (2000)
  --devices N    connections that share them (200)
  --seconds S    of measured load, after a third of it to warm up; then again so long with kills (60)
  --kills N      \`kill -9\` of each process in the middle; 0 leaves this part out (3)
  --down S       seconds until it is started again (5)
  --seed S       of the values and of the moments of the kills (1)
  --json         print JSON
Each has Kafka and InfluxDB of its own, found as \`npm test\` finds them; mosquitto (apt-get install mosquitto) and
Telegraf (TELEGRAF_BIN, the PATH, or built with Go) are needed for the peers.`);
  process.exit(0);
}

interface Figures {
  readonly chain: string;
  readonly cost: CostFigures;
  readonly queryable: QueryableFigures;
  /** `null`: nothing was killed. */
  readonly loss: LossFigures | null;
}

const problems: string[] = [];
const names = flags.only.split(',');
for (const name of names)
  if (!(name in contenders)) problems.push(`--only ${name}: there are ${Object.keys(contenders).join(', ')}`);
const load = {
  rate: numberOf('rate', flags.rate, 1),
  devices: numberOf('devices', flags.devices, 1),
  seconds: numberOf('seconds', flags.seconds, 3),
  seed: numberOf('seed', flags.seed, 0),
};
const kills = { ofEach: numberOf('kills', flags.kills, 0), downSeconds: numberOf('down', flags.down, 0) };
if (problems.length > 0) {
  console.error(`bench:peers: wrong usage\n  ${problems.join('\n  ')}`);
  process.exit(2);
}

const results: Record<string, Figures> = {};
for (const name of names) {
  process.stderr.write(`${name} …\n`);
  const contender = await contenders[name]!();
  try {
    results[name] = await measure(contender);
    if (!flags.json) print(name, results[name]);
  } finally {
    await contender.close();
  }
}
const machine = {
  node: process.version,
  platform: `${platform()} ${arch()}`,
  cpu: cpus()[0]?.model,
  cores: cpus().length,
};
if (flags.json) console.log(JSON.stringify({ machine, load, results }, null, 2));
else
  console.log(
    `\nNode ${machine.node}, ${machine.cores} × ${machine.cpu}; ${load.rate} msg/s from ${load.devices} devices`,
  );

async function measure(contender: Contender): Promise<Figures> {
  const third = { ...load, seconds: Math.ceil(load.seconds / 3) };
  const cost = await measureCost(contender, third, load);
  const queryable = await measureQueryable(contender, third);
  const loss = kills.ofEach === 0 ? null : await measureLoss(contender, load, kills);
  return { chain: contender.chain, cost, queryable, loss };
}

function print(name: string, { chain, cost, queryable, loss }: Figures): void {
  const list = (figures: Readonly<Record<string, number>>) =>
    Object.entries(figures)
      .map(([of, figure]) => `${of} ${figure}`)
      .join(', ');
  const rows: [string, string][] = [
    ['CPU-s/million', list(cost.cpuSecondsPerMillion)],
    ['peak MiB', list(cost.peakMemoryMiB)],
    ['PUBACK', `p50 ${cost.ackP50Ms} ms, p99 ${cost.ackP99Ms} ms`],
    ['queryable after', `p50 ${queryable.p50Ms} ms, at most ${queryable.maxMs} ms; ${queryable.probes} probes`],
    ['all stored', `${cost.storedAfterSeconds} s after the last PUBACK; ${cost.lost} of ${cost.messages} lost`],
  ];
  if (loss !== null) {
    const after = `of ${loss.acknowledged} acknowledged lost, ${loss.storedTwice} stored twice; killed: ${list(loss.kills)}`;
    rows.push(['after kill -9', `${loss.lost} ${after}`]);
  }
  console.log(`\n${name}: ${chain}\n${rows.map(([row, text]) => `  ${row.padEnd(17)}${text}`).join('\n')}`);
}

function numberOf(name: string, given: string, atLeast: number): number {
  const number = Number(given);
  if (!(number >= atLeast)) problems.push(`--${name} ${given}: expected a number, at least ${atLeast}`);
  return number;
}
