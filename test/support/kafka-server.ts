/**
 * A real Kafka for tests: the one named by KAFKA_BROKERS, else Kafka from Maven Central, run with java on free ports
 * with a folder of its own (KRaft, one node). The jars are kept in the user's cache folder.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { access, mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Kafka, logLevel } from 'kafkajs';
import { eventually } from './eventually.ts';
import { freePort } from './free-port.ts';

const exec = promisify(execFile);
const version = '4.3.1';

export interface KafkaServer {
  readonly brokers: string;
  /** Process id; `null` when KAFKA_BROKERS names a server that is not ours. */
  readonly pid: number | null;
  close(): Promise<void>;
}

/** One that a test may stop, kill and start again: same address, same data. */
export interface OwnKafkaServer extends KafkaServer {
  /** Ends the process with SIGKILL and leaves its data. */
  kill(): Promise<void>;
  /** Starts it again after `kill`. */
  restart(): Promise<void>;
}

const howToGetIt =
  'Kafka: set KAFKA_BROKERS to host:port of Kafka 4, or install java 17+ and maven (apt-get install default-jre-headless maven)';

export async function startKafka(): Promise<KafkaServer | { skip: string }> {
  const brokers = process.env.KAFKA_BROKERS;
  if (!brokers) return startOwnKafka();
  return { brokers, pid: null, close: async () => {} };
}

/**
 * Never the server named by KAFKA_BROKERS: a test may do to this one what it likes. With `advertisedPort` clients are
 * sent to that port of this machine instead of the broker's own: a proxy between them and it.
 */
export async function startOwnKafka({
  advertisedPort,
}: {
  advertisedPort?: number;
} = {}): Promise<OwnKafkaServer | { skip: string }> {
  const jars = await findJars();
  if (jars === null) return { skip: howToGetIt };
  const folder = await mkdtemp(join(tmpdir(), 'sluice-kafka-'));
  const [port, controllerPort] = [await freePort(), await freePort()];
  const properties = join(folder, 'server.properties');
  await writeFile(properties, settings(folder, port, controllerPort, advertisedPort ?? port));
  const format = [
    'format',
    '-t',
    randomUUID().replaceAll('-', '').slice(0, 22),
    '-c',
    properties,
    '--ignore-formatted',
  ];
  await exec('java', ['-cp', `${jars}/*`, 'kafka.tools.StorageTool', ...format]);

  const brokers = `127.0.0.1:${port}`;
  let child = await launch(jars, properties, folder, brokers);
  return {
    brokers,
    get pid() {
      return child.pid ?? null;
    },
    kill: () => end(child),
    restart: async () => {
      child = await launch(jars, properties, folder, brokers);
    },
    close: async () => {
      await end(child);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

function settings(folder: string, port: number, controllerPort: number, advertisedPort: number): string {
  const values = {
    'process.roles': 'broker,controller',
    'node.id': 1,
    'controller.quorum.voters': `1@127.0.0.1:${controllerPort}`,
    listeners: `PLAINTEXT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controllerPort}`,
    'advertised.listeners': `PLAINTEXT://127.0.0.1:${advertisedPort}`,
    'listener.security.protocol.map': 'PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT',
    'controller.listener.names': 'CONTROLLER',
    'log.dirs': join(folder, 'data'),
    'offsets.topic.replication.factor': 1,
    'offsets.topic.num.partitions': 4,
    'transaction.state.log.replication.factor': 1,
    'transaction.state.log.min.isr': 1,
    'share.coordinator.state.topic.replication.factor': 1,
    'share.coordinator.state.topic.min.isr': 1,
    'group.initial.rebalance.delay.ms': 0,
    'auto.create.topics.enable': false,
    'log.cleaner.dedupe.buffer.size': 8 * 1024 * 1024,
  };
  return Object.entries(values)
    .map(([name, value]) => `${name}=${value}\n`)
    .join('');
}

async function launch(jars: string, properties: string, folder: string, brokers: string): Promise<ChildProcess> {
  const log4j = '-Dlog4j2.level=ERROR';
  const child = spawn('java', ['-Xms128m', '-Xmx512m', log4j, '-cp', `${jars}/*`, 'kafka.Kafka', properties], {
    cwd: folder,
    stdio: 'ignore',
  });
  const killWithUs = () => child.kill('SIGKILL');
  process.once('exit', killWithUs);
  child.once('exit', () => process.off('exit', killWithUs));
  const probe = new Kafka({ brokers: [brokers], logLevel: logLevel.NOTHING, retry: { retries: 0 } }).admin();
  try {
    await eventually(
      async () => {
        if (child.exitCode !== null) throw new Error(`kafka ended with ${child.exitCode}`);
        await probe.connect();
        return true;
      },
      { withinMs: 60_000, everyMs: 200, what: 'Kafka answers' },
    );
  } catch (error) {
    await end(child);
    throw error;
  } finally {
    await probe.disconnect();
  }
  return child;
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGKILL');
  await exited;
}

/** The folder with Kafka's jars, fetched once; `null` when java or maven is missing. */
async function findJars(): Promise<string | null> {
  if (!(await answers('java', '-version'))) return null;
  const cache = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'sluice');
  const jars = join(cache, `kafka-${version}`);
  if (await exists(jars)) return jars;
  if (!(await answers('mvn', '-version'))) return null;
  await mkdir(cache, { recursive: true });
  const fetched = await mkdtemp(join(cache, 'fetch-'));
  try {
    await writeFile(join(fetched, 'pom.xml'), pom);
    const args = ['-q', '-B', '-f', join(fetched, 'pom.xml'), 'dependency:copy-dependencies'];
    await exec('mvn', [...args, `-DoutputDirectory=${join(fetched, 'jars')}`], { timeout: 300_000 });
    // Another process may have been faster: its folder is as good as ours.
    await rename(join(fetched, 'jars'), jars).catch(async (error: unknown) => {
      if (!(await exists(jars))) throw error;
    });
  } finally {
    await rm(fetched, { recursive: true, force: true });
  }
  return jars;
}

const pom = `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>sluice</groupId>
  <artifactId>kafka-for-tests</artifactId>
  <version>1</version>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId>
      <artifactId>kafka_2.13</artifactId>
      <version>${version}</version>
    </dependency>
  </dependencies>
</project>
`;

async function answers(program: string, argument: string): Promise<boolean> {
  return exec(program, [argument]).then(
    () => true,
    () => false,
  );
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
