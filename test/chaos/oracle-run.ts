/**
 * A stream of the oracle on real Kafka and InfluxDB, through processors that something happens to. What is stored of
 * windows, what was alerted and what is open in the end must be what the oracle says.
 */
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { memoryBytes } from '../../bench/cpu.ts';
import type { Bus } from '../../bus/port.ts';
import type { Alert } from '../../core/alert.ts';
import { systemClock } from '../../core/clock.ts';
import { resolveConfig } from '../../core/config.ts';
import { silentLogger } from '../../core/log.ts';
import { topicNames } from '../../core/topics.ts';
import { openBus, setUp } from '../../pipeline.ts';
import { eventually } from '../support/eventually.ts';
import { fileOf, rulesTextOf } from '../support/oracle/config.ts';
import type { StreamEvent } from '../support/oracle/events.ts';
import { endingAt, expectedOf, newRecordsOf } from '../support/oracle/partitions.ts';
import { type AlertFacts, factsOf } from '../support/oracle/rules.ts';
import { storedDifferences, storedPoints } from '../support/oracle/stored.ts';
import { drawCase, withAlerts } from '../support/oracle/stream.ts';
import { RolePart } from './parts.ts';

/** Happens while the stream is appended, until `over`; resolves with what to report when all is up again. */
export type Trouble = (processors: readonly RolePart[], over: AbortSignal) => Promise<Record<string, number>>;

export interface OracleRun {
  readonly seed: number;
  readonly devices: number;
  /** Of the stream, about as many records. */
  readonly steps: number;
  /** Over which the stream is appended. */
  readonly loadMs: number;
  readonly processors: number;
  /** `KAFKA_BROKERS` and those of InfluxDB. */
  readonly services: Readonly<Record<string, string>>;
  /** Where a processor finds InfluxDB, if not where the services say. */
  readonly influxUrlOf?: (processor: number) => string;
  readonly trouble: Trouble;
  /** Happens when all is right and committed, and must leave it so. `sluice` runs a command of the command line. */
  readonly afterwards?: (sluice: (...args: string[]) => Promise<void>) => Promise<void>;
}

export interface OracleResult {
  readonly seed: number;
  readonly records: number;
  readonly points: number;
  readonly alerts: number;
  /** Of the processor that held most, at any time. */
  readonly mostMemoryMiB: number;
  readonly trouble: Readonly<Record<string, number>>;
  /** In words; none when all is as the oracle says. */
  readonly differences: readonly string[];
  /** Logs of the processors; gone when there are no differences. */
  readonly folder: string;
}

export const sessionTimeoutMs = 6000;
const quick = { sessionTimeoutMs: `${sessionTimeoutMs}ms`, snapshotEveryMs: '1s' };

export async function runOracle(run: OracleRun): Promise<OracleResult> {
  const { seed, devices, steps, loadMs, services, trouble } = run;
  const drawn = withAlerts(drawCase(seed, { devices, steps, paceMs: 1000 }));
  const events = endingAt(drawn.events, Date.now());
  const folder = await mkdtemp(join(tmpdir(), `sluice-oracle-${seed}-`));
  const name = `o${seed}-${Date.now().toString(36)}`;
  const env = {
    ...services,
    SLUICE_TOPIC_PREFIX: `${name}.`,
    INFLUX_BUCKET: `telemetry-${name}`,
    INFLUX_ROLLUP_BUCKET: `rollups-${name}`,
    SLUICE_HTTP_PORT: '0',
  };
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
  const processors = Array.from({ length: run.processors }, (_, n) => {
    const url = run.influxUrlOf?.(n);
    const args = ['processor', '--config', join(folder, 'sluice.yaml')];
    const own = url === undefined ? env : { ...env, INFLUX_URL: url };
    return new RolePart(`processor-${n}`, args, own, { folder, faketime: null, say: () => {} });
  });
  const memory = watchMemory(processors);
  try {
    await Promise.all(processors.map((processor) => processor.start()));
    const over = new AbortController();
    const troubling = trouble(processors, over.signal);
    await append(bus, topics.raw, events, config.topics.partitions, loadMs);
    over.abort();
    const troubled = await troubling;
    const expected = expectedOf(events, drawn.config, config.topics.partitions);
    const differencesNow = async () => [
      ...storedDifferences(expected.points, await storedPoints(config)),
      ...alertDifferences('alerts', expected.alerts, await alertsOn(bus, topics.alerts)),
      ...alertDifferences('open alerts', expected.openAlerts, await openAlertsOn(bus, topics.alertsState)),
    ];
    const isRight = async () => (await differencesNow()).length === 0;
    await eventually(isRight, { withinMs: 90_000, everyMs: 1000, what: 'all as the oracle says' }).catch(() => {});
    // The last commit of each comes when it leaves, and what is written then must change nothing.
    for (const processor of processors) {
      await processor.suffer({ atMs: 0, part: processor.name, kind: 'restart', forMs: 0, shiftMs: 0 });
    }
    const isCommitted = async () => (await bus.lag(topics.raw, config.processing.group)).records === 0;
    await eventually(isCommitted, { withinMs: 60_000, everyMs: 500, what: 'everything is committed' });
    await run.afterwards?.((...args) => sluice([...args, '--config', join(folder, 'sluice.yaml')], env));
    const differences = await differencesNow();
    if (differences.length === 0) await rm(folder, { recursive: true });
    return {
      seed,
      records: events.length,
      points: expected.points.size,
      alerts: expected.alerts.length,
      mostMemoryMiB: Math.round(memory.most() / 2 ** 20),
      trouble: troubled,
      differences,
      folder,
    };
  } finally {
    memory.stop();
    for (const processor of processors) await processor.close();
    await bus.close();
  }
}

async function sluice(args: readonly string[], env: Record<string, string>): Promise<void> {
  const program = join(import.meta.dirname, '../../bin/sluice.js');
  const { PATH } = process.env;
  await promisify(execFile)(process.execPath, [program, ...args], { env: { PATH, ...env } });
}

function watchMemory(processors: readonly RolePart[]): { most(): number; stop(): void } {
  let most = 0;
  const stop = systemClock.every(250, () => {
    for (const { pid } of processors) {
      try {
        if (pid !== null) most = Math.max(most, memoryBytes(pid));
      } catch {
        // It has just ended.
      }
    }
  });
  return { most: () => most, stop };
}

/** In order, spread over the time of the load. */
async function append(
  bus: Bus,
  topic: string,
  events: readonly StreamEvent[],
  partitions: number,
  loadMs: number,
): Promise<void> {
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

async function openAlertsOn(bus: Bus, topic: string): Promise<Alert[]> {
  const byKey = new Map<string, Alert>();
  const following = await bus.follow(topic, 'beginning', (records) => {
    for (const { key, value } of records) {
      if (value === null) byKey.delete(key);
      else byKey.set(key, JSON.parse(value.toString()) as Alert);
    }
  });
  await following.close();
  return [...byKey.values()];
}

/** Repeating is allowed, inventing, losing and another order are not. */
function alertDifferences(what: string, expected: readonly AlertFacts[], alerts: readonly Alert[]): string[] {
  const bySource = (list: readonly AlertFacts[]) => Map.groupBy(list, ({ rule, device }) => `${rule} ${device}`);
  const [must, are] = [bySource(expected), bySource(alerts)];
  return [...new Set([...must.keys(), ...are.keys()])].flatMap((source) => {
    const [left, right] = [must, are].map((lists) => JSON.stringify((lists.get(source) ?? []).map(factsOf)));
    return left === right ? [] : [`${what} of ${source}: expected ${left}, got ${right}`];
  });
}
