/** The peer: Mosquitto and Telegraf, through Kafka as ours or straight into InfluxDB. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../../core/clock.ts';
import { silentLogger } from '../../core/log.ts';
import { openStore } from '../../pipeline.ts';
import { eventually } from '../../test/support/eventually.ts';
import { freePort } from '../../test/support/free-port.ts';
import { configOf, openBenchBus, setUpTopics } from '../backend.ts';
import { type Contender, Opened } from './contender.ts';
import { Program } from './program.ts';
import { startServices } from './services.ts';
import { fromKafka, fromMqtt, mosquittoConfig, telegrafConfig, toInflux, toKafka } from './telegraf-config.ts';
import { findTelegraf } from './telegraf-program.ts';

const topic = 'telegraf';
/** As many as ours has. */
const partitions = 12;

export async function openTelegraf(through: 'kafka' | 'nothing'): Promise<Contender> {
  const opened = new Opened();
  try {
    return await open(through, opened);
  } catch (error) {
    await opened.close();
    throw error;
  }
}

async function open(through: 'kafka' | 'nothing', opened: Opened): Promise<Contender> {
  const telegraf = await findTelegraf();
  const folder = await mkdtemp(join(tmpdir(), 'sluice-peers-'));
  opened.add(() => rm(folder, { recursive: true, force: true }));
  const mqttPort = await freePort();
  const services = await startServices(opened);
  // Makes the bucket, with the retention that ours has.
  await setUpTopics(services.env);
  const config = configOf(services.env);
  const store = openStore(config, systemClock, silentLogger);
  await store.start();
  opened.add(() => store.close());
  if (through === 'kafka') await createTopic(services.env);

  const programs = new Map<string, Program>();
  const add = async (name: string, program: Program) => {
    programs.set(name, program);
    opened.add(() => program.kill());
    await program.start();
  };
  const addTelegraf = async (name: string, text: string, readyLine: string) => {
    const file = join(folder, `${name}.conf`);
    await writeFile(file, text);
    const program = new Program([telegraf, '--config', file], join(folder, `${name}.log`), (log) =>
      log.includes(readyLine),
    );
    await add(name, program);
  };
  const brokers = services.env.KAFKA_BROKERS!;
  const { url, token, org, bucket } = config.influx;
  const influx = toInflux({ url: url!, token: token!, org, bucket });

  await add('mosquitto', await mosquitto(mqttPort, folder));
  if (through === 'kafka') {
    await addTelegraf('telegraf-to-influxdb', telegrafConfig(fromKafka(brokers, topic), influx), 'Loaded inputs');
    await addTelegraf('telegraf-to-kafka', telegrafConfig(fromMqtt(mqttPort), toKafka(brokers, topic)), 'Connected');
  } else {
    await addTelegraf('telegraf', telegrafConfig(fromMqtt(mqttPort), influx), 'Connected');
  }
  const chain = ['Mosquitto', 'Telegraf', ...(through === 'kafka' ? ['Kafka', 'Telegraf'] : []), 'InfluxDB'];
  return {
    chain: chain.join(' → '),
    mqttPort,
    store,
    pids: () => {
      const { kafka, influxdb } = services.pids();
      const own = Object.fromEntries([...programs].map(([name, { pid }]) => [name, pid]));
      return { ...own, ...(through === 'kafka' ? { kafka: kafka! } : {}), influxdb: influxdb! };
    },
    middle: [...programs.keys()],
    kill: (name) => programs.get(name)!.kill(),
    start: (name) => startSupervised(programs.get(name)!),
    close: () => opened.close(),
  };
}

async function mosquitto(port: number, folder: string): Promise<Program> {
  const data = join(folder, 'mosquitto');
  const file = join(folder, 'mosquitto.conf');
  await mkdir(data);
  await writeFile(file, mosquittoConfig(port, data));
  return new Program(['mosquitto', '-c', file], join(folder, 'mosquitto.log'), () => canConnect(port));
}

/** As under systemd: what ends because something it needs is down as well is started again. */
async function startSupervised(program: Program): Promise<void> {
  const started = () => program.start().then(() => true);
  await eventually(started, { withinMs: 120_000, everyMs: 1000, what: 'a process that was killed is back' });
}

async function createTopic(env: Record<string, string>): Promise<void> {
  const bus = await openBenchBus(env);
  const retention = { cleanup: 'delete', retentionMs: null, retentionBytes: null } as const;
  await bus.createTopics([{ name: topic, partitions, ...retention, maxMessageBytes: 1024 * 1024 }]);
  await bus.close();
}

function canConnect(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => resolve(true));
    socket.once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}
