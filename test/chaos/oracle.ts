/**
 * `npm run oracle:kafka`: streams of the oracle on real Kafka and InfluxDB, while one of three processors after the other
 * is killed with -9 every few seconds. What is stored of windows and what was alerted must be what the oracle says.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { Bus } from '../../bus/port.ts';
import type { Alert } from '../../core/alert.ts';
import { systemClock } from '../../core/clock.ts';
import { resolveConfig } from '../../core/config.ts';
import { silentLogger } from '../../core/log.ts';
import { topicNames } from '../../core/topics.ts';
import { openBus, setUp } from '../../pipeline.ts';
import { randomStream } from '../../simulator/random.ts';
import { eventually } from '../support/eventually.ts';
import { startInflux } from '../support/influx-server.ts';
import { startKafka } from '../support/kafka-server.ts';
import { fileOf, rulesTextOf } from '../support/oracle/config.ts';
import type { StreamEvent } from '../support/oracle/events.ts';
import { endingAt, expectedOf, newRecordsOf } from '../support/oracle/partitions.ts';
import { type AlertFacts, factsOf } from '../support/oracle/rules.ts';
import { storedDifferences, storedPoints } from '../support/oracle/stored.ts';
import { drawCase, withAlerts } from '../support/oracle/stream.ts';
import { RolePart } from './parts.ts';
import type { Fault, FaultKind } from './schedule.ts';

const { values: flags } = parseArgs({
  options: {
    runs: { type: 'string', default: '30' },
    seed: { type: 'string', default: '1' },
    seconds: { type: 'string', default: '20' },
    every: { type: 'string', default: '3' },
    devices: { type: 'string', default: '60' },
    steps: { type: 'string', default: '6000' },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

if (flags.help) {
  console.log(`npm run oracle:kafka -- [--runs N] [--seed S] [--seconds T] [--every T] [--devices N] [--steps N] [--json]
  Streams of the oracle on Kafka and InfluxDB, three processors, one of them killed with -9 every few seconds; then all
  points of rollups, windows and states, and all alerts, against the oracle.
  --runs N      runs one after the other; the seed goes up by one (30)
  --seed S      of the first one (1)
  --seconds T   over which the stream is appended (20)
  --every T     seconds between two kills (3)
  --devices N   devices (60)
  --steps N     of the stream, about as many records (6000)
  --json        one line of JSON for each run
Kafka and InfluxDB are found as \`npm test\` finds them. Exit codes: 0 all is as the oracle says · 1 it is not · 2 wrong usage`);
  process.exit(0);
}

const problems: string[] = [];
const runs = numberOf('runs');
const firstSeed = numberOf('seed');
const loadMs = numberOf('seconds') * 1000;
const everyMs = numberOf('every') * 1000;
const size = { devices: numberOf('devices'), steps: numberOf('steps') };
if (problems.length > 0) {
  console.error(`oracle: wrong usage\n  ${problems.join('\n  ')}`);
  process.exit(2);
}

const [kafka, influx] = await Promise.all([startKafka(), startInflux()]);
try {
  if ('skip' in kafka) throw new Error(kafka.skip);
  if ('skip' in influx) throw new Error(influx.skip);
  const services = {
    KAFKA_BROKERS: kafka.brokers,
    INFLUX_URL: influx.url,
    INFLUX_TOKEN: influx.token,
    INFLUX_ORG: influx.org,
  };
  for (let seed = firstSeed; seed < firstSeed + runs && process.exitCode === undefined; seed++) {
    if (!(await isAsTheOracleSays(seed, services))) process.exitCode = 1;
  }
} finally {
  for (const server of [kafka, influx]) if (!('skip' in server)) await server.close();
}

async function isAsTheOracleSays(seed: number, services: Record<string, string>): Promise<boolean> {
  const drawn = withAlerts(drawCase(seed, { ...size, paceMs: 1000 }));
  const events = endingAt(drawn.events, Date.now());
  const folder = await mkdtemp(join(tmpdir(), `sluice-oracle-${seed}-`));
  const run = `o${seed}-${Date.now().toString(36)}`;
  const env = {
    ...services,
    SLUICE_TOPIC_PREFIX: `${run}.`,
    INFLUX_BUCKET: `telemetry-${run}`,
    INFLUX_ROLLUP_BUCKET: `rollups-${run}`,
    SLUICE_HTTP_PORT: '0',
  };
  const quick = { sessionTimeoutMs: '6s', snapshotEveryMs: '1s' };
  const content = { ...fileOf(drawn.config, quick), rules: join(folder, 'rules.yaml') };
  await writeFile(join(folder, 'sluice.yaml'), JSON.stringify(content));
  await writeFile(content.rules, rulesTextOf(drawn.config));
  const config = resolveConfig({
    file: { name: 'sluice.yaml', content },
    env,
    flags: { startTimeoutMs: '60s' },
    readText: () => '',
  });
  await setUp(config, silentLogger);
  const topics = topicNames(config.topics.prefix);
  const bus = openBus(config, systemClock, silentLogger);
  await bus.start();
  const said: string[] = [];
  const processors = Array.from({ length: 3 }, (_, n) => {
    const say = (part: string, what: string) => void said.push(`${part} ${what}`);
    return new RolePart(`processor-${n}`, ['processor', '--config', join(folder, 'sluice.yaml')], env, {
      folder,
      faketime: null,
      say,
    });
  });
  try {
    await Promise.all(processors.map((processor) => processor.start()));
    const over = new AbortController();
    const killing = killInTurn(processors, seed, over.signal);
    await append(bus, topics.raw, events, config.topics.partitions);
    over.abort();
    const kills = await killing;
    const expected = expectedOf(events, drawn.config, config.topics.partitions);
    const differencesNow = async () => [
      ...storedDifferences(expected.points, await storedPoints(config)),
      ...alertDifferences(expected.alerts, await alertsOn(bus, topics.alerts)),
    ];
    const isRight = async () => (await differencesNow()).length === 0;
    await eventually(isRight, { withinMs: 90_000, everyMs: 1000, what: 'all as the oracle says' }).catch(() => {});
    // The last commit of each comes when it leaves, and what is written then must change nothing.
    for (const processor of processors) await processor.suffer(faultOf(processor, 'restart', 0));
    const isCommitted = async () => (await bus.lag(topics.raw, config.processing.group)).records === 0;
    await eventually(isCommitted, { withinMs: 60_000, everyMs: 500, what: 'everything is committed' });
    const differences = await differencesNow();
    report({
      seed,
      records: events.length,
      kills,
      points: expected.points.size,
      alerts: expected.alerts.length,
      differences,
      folder,
    });
    if (differences.length === 0) await rm(folder, { recursive: true });
    return differences.length === 0;
  } finally {
    for (const processor of processors) await processor.close();
    await bus.close();
  }
}

/** Two at least are up. Resolves with how many kills there were, when all are up again. */
async function killInTurn(processors: readonly RolePart[], seed: number, over: AbortSignal): Promise<number> {
  const random = randomStream('kills', seed);
  const down = new Map<RolePart, Promise<void>>();
  let kills = 0;
  for (;;) {
    await systemClock.sleep(everyMs * (0.5 + random()), over);
    if (over.aborted) break;
    const victim = processors[kills % processors.length]!;
    if (down.size > 0) continue;
    kills++;
    const killed = victim.suffer(faultOf(victim, 'kill', random() * 1000)).finally(() => down.delete(victim));
    down.set(victim, killed);
  }
  await Promise.all(down.values());
  return kills;
}

function faultOf({ name }: RolePart, kind: FaultKind, forMs: number): Fault {
  return { atMs: 0, part: name, kind, forMs, shiftMs: 0 };
}

/** In order, spread over the time of the load. */
async function append(bus: Bus, topic: string, events: readonly StreamEvent[], partitions: number): Promise<void> {
  const startedAtMs = performance.now();
  const pieces = Math.ceil(loadMs / 50);
  for (let piece = 0; piece < pieces; piece++) {
    const here = events.slice(
      Math.floor((events.length * piece) / pieces),
      Math.floor((events.length * (piece + 1)) / pieces),
    );
    await bus.append(
      topic,
      here.flatMap((event) => newRecordsOf(event, partitions)),
    );
    await systemClock.sleep(Math.max(0, (loadMs * (piece + 1)) / pieces - (performance.now() - startedAtMs)));
  }
}

async function alertsOn(bus: Bus, topic: string): Promise<Alert[]> {
  const byId = new Map<string, Alert>();
  const following = await bus.follow(topic, 'beginning', (records) => {
    for (const { value } of records) {
      const alert = JSON.parse(value!.toString()) as Alert;
      if (!byId.has(alert.id)) byId.set(alert.id, alert);
    }
  });
  await following.close();
  return [...byId.values()];
}

/** Repeating is allowed, inventing, losing and another order are not. */
function alertDifferences(expected: readonly AlertFacts[], alerts: readonly Alert[]): string[] {
  const bySource = (list: readonly AlertFacts[]) => Map.groupBy(list, ({ rule, device }) => `${rule} ${device}`);
  const [must, are] = [bySource(expected), bySource(alerts)];
  return [...new Set([...must.keys(), ...are.keys()])].flatMap((source) => {
    const [left, right] = [must, are].map((lists) => JSON.stringify((lists.get(source) ?? []).map(factsOf)));
    return left === right ? [] : [`alerts of ${source}: expected ${left}, got ${right}`];
  });
}

function report(
  result: { readonly seed: number; readonly differences: readonly string[]; readonly folder: string } & Record<
    string,
    unknown
  >,
): void {
  const { seed, records, kills, points, alerts, differences, folder } = result;
  if (flags.json) {
    console.log(JSON.stringify(result));
    return;
  }
  const counts = `${records} records, ${kills} kills, ${points} points, ${alerts} alerts`;
  console.log(`seed ${seed}: ${differences.length === 0 ? 'ok' : 'NOT OK'}; ${counts}`);
  for (const difference of differences.slice(0, 10)) console.log(`  ${difference}`);
  if (differences.length > 0)
    console.log(`  ${differences.length} differences; logs of the processors are in ${folder}`);
}

function numberOf(name: 'runs' | 'seed' | 'seconds' | 'every' | 'devices' | 'steps'): number {
  const number = Number(flags[name]);
  if (!(number > 0)) problems.push(`--${name} ${flags[name]}: expected a number above 0`);
  return number;
}
