/**
 * A real Kafka for tests: the one named by KAFKA_BROKERS, else Kafka from Maven Central, run with java on free ports
 * with a folder of its own (KRaft, one node). The jars are kept in the user's cache folder.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Kafka, logLevel } from 'kafkajs';
import { eventually } from './eventually.ts';
import { freePort } from './free-port.ts';
import { answers, exists } from './installed.ts';

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
  /** Its files; with `secured` the certificate is `certificate.pem` in it. */
  readonly folder: string;
  /** Ends the process with SIGKILL and leaves its data. */
  kill(): Promise<void>;
  /** Starts it again after `kill`. */
  restart(): Promise<void>;
}

/** A server that lives for a minute does not earn back what the second compiler costs. */
const startsSoon = ['-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC'];

const howToGetIt =
  'Kafka: set KAFKA_BROKERS to host:port of Kafka 4, or install java 17+ and maven (apt-get install default-jre-headless maven)';

export async function startKafka(): Promise<KafkaServer | { skip: string }> {
  const brokers = process.env.KAFKA_BROKERS;
  if (!brokers) return startOwnKafka();
  return { brokers, pid: null, close: async () => {} };
}

export interface OwnKafkaOptions {
  /** Where clients are sent instead of the broker's own port: to a proxy on this machine, between them and it. */
  readonly advertisedPort?: number;
  /** Opens a second listener that wants TLS and a password. */
  readonly secured?: { readonly port: number; readonly user: string; readonly password: string };
  /** An empty folder for its files, that stays when it is closed. */
  readonly keepIn?: string;
  /** How long the name of one that was killed is taken: it comes back after that. By default the server's own, 9 s. */
  readonly sessionTimeoutMs?: number;
}

/** Never the server named by KAFKA_BROKERS: a test may do to this one what it likes. */
export async function startOwnKafka(options: OwnKafkaOptions = {}): Promise<OwnKafkaServer | { skip: string }> {
  const jars = await findJars();
  if (jars === null) return { skip: howToGetIt };
  const { advertisedPort, secured, keepIn, sessionTimeoutMs } = options;
  const folder = keepIn ?? (await mkdtemp(join(tmpdir(), 'sluice-kafka-')));
  const [port, controllerPort] = [await freePort(), await freePort()];
  const properties = join(folder, 'server.properties');
  const values = settings(folder, port, controllerPort, advertisedPort ?? port);
  if (secured !== undefined) await secure(values, folder, secured);
  if (sessionTimeoutMs !== undefined) {
    values['broker.session.timeout.ms'] = sessionTimeoutMs;
    values['broker.heartbeat.interval.ms'] = sessionTimeoutMs / 6;
  }
  await writeFile(
    properties,
    Object.entries(values)
      .map(([name, value]) => `${name}=${value}\n`)
      .join(''),
  );
  const id = randomUUID().replaceAll('-', '').slice(0, 22);
  const format = ['format', '-t', id, '-c', properties, '--ignore-formatted'];
  if (secured !== undefined) {
    const { user, password } = secured;
    for (const mechanism of ['SCRAM-SHA-256', 'SCRAM-SHA-512']) {
      format.push('--add-scram', `${mechanism}=[name=${user},password=${password}]`);
    }
  }
  await exec('java', [...startsSoon, '-cp', `${jars}/*`, 'kafka.tools.StorageTool', ...format]);

  const brokers = `127.0.0.1:${port}`;
  let child = await launch(jars, properties, folder, brokers);
  return {
    brokers,
    folder,
    get pid() {
      return child.pid ?? null;
    },
    kill: () => end(child),
    restart: async () => {
      child = await launch(jars, properties, folder, brokers);
    },
    close: async () => {
      await end(child);
      if (keepIn === undefined) await rm(folder, { recursive: true, force: true });
    },
  };
}

type Settings = Record<string, string | number | boolean>;

function settings(folder: string, port: number, controllerPort: number, advertisedPort: number): Settings {
  return {
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
}

async function secure(
  values: Settings,
  folder: string,
  { port, user, password }: NonNullable<OwnKafkaOptions['secured']>,
) {
  const store = ['-alias', 'kafka', '-keystore', join(folder, 'keys.p12'), '-storepass', 'only-for-tests'];
  const names = ['-dname', 'CN=127.0.0.1', '-ext', 'SAN=IP:127.0.0.1'];
  await exec('keytool', ['-genkeypair', '-keyalg', 'EC', '-storetype', 'PKCS12', ...store, ...names]);
  await exec('keytool', ['-exportcert', '-rfc', '-file', join(folder, 'certificate.pem'), ...store]);
  values.listeners += `,SECURED://127.0.0.1:${port}`;
  values['advertised.listeners'] += `,SECURED://127.0.0.1:${port}`;
  values['listener.security.protocol.map'] += ',SECURED:SASL_SSL';
  Object.assign(values, {
    'inter.broker.listener.name': 'PLAINTEXT',
    'ssl.keystore.location': join(folder, 'keys.p12'),
    'ssl.keystore.password': 'only-for-tests',
    'sasl.enabled.mechanisms': 'PLAIN,SCRAM-SHA-256,SCRAM-SHA-512',
    'listener.name.secured.plain.sasl.jaas.config': `org.apache.kafka.common.security.plain.PlainLoginModule required user_${user}="${password}";`,
    'listener.name.secured.scram-sha-256.sasl.jaas.config':
      'org.apache.kafka.common.security.scram.ScramLoginModule required;',
    'listener.name.secured.scram-sha-512.sasl.jaas.config':
      'org.apache.kafka.common.security.scram.ScramLoginModule required;',
  });
}

async function launch(jars: string, properties: string, folder: string, brokers: string): Promise<ChildProcess> {
  const sizes = ['-Xms128m', '-Xmx512m'];
  const args = [...startsSoon, ...sizes, '-Dlog4j2.level=ERROR', '-cp', `${jars}/*`, 'kafka.Kafka', properties];
  const child = spawn('java', args, { cwd: folder, stdio: 'ignore' });
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
