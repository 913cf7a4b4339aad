/**
 * CPU-seconds per million messages of the gateway process and of the processor process, each measured from outside
 * while nothing else runs in it. See `docs/benchmarks.md` before you compare anything.
 */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { arch, cpus, platform, tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect, parseArgs } from 'node:util';
import { startInflux } from '../test/support/influx-server.ts';
import { startKafka } from '../test/support/kafka-server.ts';
import { measureFairness } from './fairness.ts';
import { measureFleets } from './fleet.ts';
import { measureClients, measureGateway, paced, saturated } from './gateway.ts';
import { measureIdle } from './idle.ts';
import { measureProcessor } from './processor.ts';
import { measureRestart } from './restart.ts';
import { soak } from './soak.ts';

const { values: flags } = parseArgs({
  options: {
    messages: { type: 'string', default: '500000' },
    only: { type: 'string' },
    soak: { type: 'string' },
    rate: { type: 'string', default: '5000' },
    clients: { type: 'string', default: '10000' },
    seconds: { type: 'string', default: '20' },
    devices: { type: 'string', default: '10000' },
    embedded: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

/** Measured when none is named. */
const usualParts = ['gateway', 'paced', 'processor'];

if (flags.help) {
  console.log(`npm run bench -- [--messages N] [--only PART] [--soak SECONDS [--rate R]] [--embedded] [--json]
  --messages N   messages measured, after a warm-up of a fifth of it (500000)
  --only PART    measure one part; default: the first three
                   gateway    the gateway saturated over 100 connections
                   paced      the gateway at 6,000 msg/s over 200 connections
                   processor  the processor
                   fleet      the processor with 1,000 to 100,000 devices that report 6 and 60 times a minute
                   restart    from the start of a processor with the state of many devices to its first new output
                   clients    the gateway over 1,000 connections: saturated, at 20,000 msg/s, and at half of that
                   idle       memory of the gateway for clients that say nothing
                   fairness   what a device that floods does to the acknowledgements of others
  --clients N    of idle (10000)
  --seconds N    of each round of fairness (20)
  --devices N    of restart (10000)
  --soak SECONDS instead: memory of both under a steady load
  --rate R       of the soak, messages per second (5000)
  --embedded     on the embedded bus and store; default: real Kafka and InfluxDB, where they can be had
  --json         print JSON`);
  process.exit(0);
}

type EnvOf = (part: string) => Record<string, string>;

/** What a run is measured on: the environment of each measured part, with topics and buckets of its own. */
async function openServices(): Promise<{
  env: EnvOf;
  names: string;
  close(): Promise<void>;
}> {
  const dataDir = await mkdtemp(join(tmpdir(), 'sluice-bench-'));
  const removeData = () => rm(dataDir, { recursive: true, force: true });
  const common = { SLUICE_LOG_LEVEL: 'info', SLUICE_HTTP_PORT: '0', SLUICE_MQTT_PORT: '0' };
  if (flags.embedded) {
    const env = (part: string) => ({ ...common, SLUICE_DATA_DIR: join(dataDir, part) });
    return { env, names: 'embedded bus and store', close: removeData };
  }
  const [kafka, influx] = await Promise.all([startKafka(), startInflux()]);
  const missing = [kafka, influx].flatMap((service) => ('skip' in service ? [service.skip] : []));
  if ('skip' in kafka || 'skip' in influx) {
    throw new Error(`real services are missing (or use --embedded):\n${missing.join('\n')}`);
  }
  const run = randomBytes(3).toString('hex');
  return {
    env: (part) => ({
      ...common,
      KAFKA_BROKERS: kafka.brokers,
      SLUICE_TOPIC_PREFIX: `bench-${run}-${part}.`,
      INFLUX_URL: influx.url,
      INFLUX_TOKEN: influx.token,
      INFLUX_ORG: influx.org,
      INFLUX_BUCKET: `bench-${run}-${part}`,
      INFLUX_ROLLUP_BUCKET: `bench-rollups-${run}-${part}`,
    }),
    names: 'Kafka and InfluxDB',
    close: async () => {
      await Promise.all([kafka.close(), influx.close()]);
      await removeData();
    },
  };
}

const messages = Number(flags.messages);
const parts: Record<string, (env: Record<string, string>, envOf: EnvOf) => Promise<object>> = {
  gateway: (env) => measureGateway(env, messages, saturated),
  paced: (env) => measureGateway(env, messages, paced),
  processor: (env) => measureProcessor(env, messages),
  fleet: (_, envOf) => measureFleets(envOf, messages),
  restart: (env) => measureRestart(env, Number(flags.devices)),
  clients: (env) => measureClients(env, messages),
  idle: (env) => measureIdle(env, Number(flags.clients)),
  fairness: (env) => measureFairness(env, Number(flags.seconds)),
};
if (flags.only !== undefined && !Object.hasOwn(parts, flags.only)) {
  console.error(`--only ${flags.only}: there are ${Object.keys(parts).join(', ')}`);
  process.exit(2);
}

const services = await openServices();
try {
  const results: Record<string, object> = {};
  if (flags.soak === undefined) {
    for (const part of flags.only === undefined ? usualParts : [flags.only])
      results[part] = await parts[part]!(services.env(part), services.env);
  } else {
    results.soak = await soak(services.env('soak'), Number(flags.soak), Number(flags.rate));
  }
  const machine = {
    node: process.version,
    platform: `${platform()} ${arch()}`,
    cpu: cpus()[0]?.model,
    cores: cpus().length,
  };
  if (flags.json) {
    console.log(JSON.stringify({ on: services.names, machine, results }, null, 2));
  } else {
    console.log(`on ${services.names}; Node ${machine.node}, ${machine.cores} × ${machine.cpu}`);
    for (const [part, figures] of Object.entries(results)) console.log(part, inspect(figures, { depth: null }));
  }
} finally {
  await services.close();
}
