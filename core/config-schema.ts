/** The one schema of everything that can be configured, and the rules between settings. Unknown keys are refused. */
import { z } from 'zod';
import { durationMs } from './duration.ts';
import { windowsSchema } from './windows-config.ts';

const MiB = 1024 * 1024;
const DAY_MS = 86_400_000;

/** As the time zone database names them, `Europe/Berlin`. */
const timeZone = z.string().refine(isTimeZone, {
  error: ({ input }) =>
    `there is no time zone ${JSON.stringify(input)}; give an IANA name such as UTC or Europe/Berlin`,
});

function isTimeZone(name: string): boolean {
  try {
    return new Intl.DateTimeFormat('en', { timeZone: name }) !== null;
  } catch {
    return false;
  }
}

const port = z.coerce.number().int().min(0).max(65_535);
export const count = z.coerce.number().int().min(1);
const flag = z
  .union([z.boolean(), z.enum(['true', 'false', '1', '0'])])
  .transform((v) => v === true || v === 'true' || v === '1');
const text = z.string().min(1);

const tls = z.strictObject({
  port: port.default(8883).describe('port of MQTT over TLS; 0 picks a free one'),
  cert: text.optional().describe('PEM file of the certificate, with those it needs; with a key MQTT over TLS is on'),
  key: text.optional().describe('PEM file of its private key'),
  ca: text.optional().describe('PEM file of the authority whose certificates clients may show'),
  requireClientCert: flag.default(false).describe('refuse who shows none'),
});

const jwt = z.strictObject({
  keysFile: text.optional().describe('JWKS file of the keys that sign tokens; with it a password may be a token'),
  jwksUrl: z
    .url({ protocol: /^https?$/ })
    .optional()
    .describe('the same, fetched from whoever publishes them'),
  issuer: text.optional().describe('`iss` that a token must have'),
  audience: text.optional().describe('`aud` that a token must have'),
  userClaim: text.default('sub').describe('claim that says who it is'),
  siteClaim: text.default('site').describe('claim of the site it speaks for; * for any'),
  deviceClaim: text.default('device').describe('claim of the device it speaks for; * for any'),
});

const mqtt = z.strictObject({
  port: port.default(1883).describe('MQTT port; 0 picks a free one'),
  username: text.optional().describe('the one user that may do everything; with a password'),
  password: text.optional().meta({ secret: true }).describe('the password of that user'),
  usersFile: text.optional().describe('file of all other users and what they may do; `sluice users` writes it'),
  anonymous: flag
    .default(false)
    .describe('where there are users, let in who shows no name as well: on the loopback address, or with insecure'),
  tls: tls.prefault({}),
  jwt: jwt.prefault({}),
  maxPacketBytes: count.default(256 * 1024).describe('a larger MQTT packet is refused at its header'),
  maxConnectBytes: count.default(16 * 1024).describe('the same for a CONNECT: of someone who is not known yet'),
  maxTopicBytes: count.max(65_535).default(256).describe('bytes of a topic'),
  maxTopicLevels: count.max(100).default(16).describe('levels of a topic'),
  maxClientIdBytes: count.max(65_535).default(128).describe('bytes of a client id'),
  maxSubscriptions: count.default(100).describe('topics that one connection may ask for in SUBSCRIBE and UNSUBSCRIBE'),
  maxUnfinishedQos2PerClient: count.default(10_000).describe('QoS 2 messages of one client without their PUBREL'),
  maxUnfinishedQos2: count.default(100_000).describe('the same over all clients; at the cap each may have its share'),
  maxMessagesPerSecond: count
    .default(1000)
    .describe('packets of one client; over it its socket is not read for a while'),
  maxBytesPerSecond: count.default(MiB).describe('their bytes'),
  lingerMs: durationMs.default(5).describe('how long a message may wait for others before it is appended'),
  maxHeldMessages: count.default(50_000).describe('messages taken and not yet durable, over all clients'),
  maxHeldBytes: count.default(64 * MiB).describe('their payload bytes'),
  maxHeldMessagesPerClient: count.default(1000).describe('the same for one client; at the cap its socket is not read'),
  maxHeldBytesPerClient: count.default(MiB).describe('their payload bytes'),
  maxBatchRecords: count.default(1000).describe('records of one append'),
  maxBatchBytes: count.default(MiB).describe('their payload bytes; a larger single record goes alone'),
  maxReadAheadBytes: count
    .default(32 * MiB)
    .describe('whole packets read from sockets and not yet taken, over all clients; at the cap sockets are not read'),
  maxUnfinishedBytes: count
    .default(64 * MiB)
    .describe('packets that have not come whole, over all clients; at the cap the longest unfinished is given up'),
  maxConnections: count.default(10_000).describe('clients connected at once'),
  maxConnectionsPerAddress: count
    .default(2500)
    .describe('the same from one IPv4 address, or one /64 of IPv6 addresses'),
  maxConnectsPerSecond: count.default(1000).describe('new connections; more wait, in order, until it is their turn'),
  maxFailedLoginsPerAddress: count
    .default(10)
    .describe('failed logins of an address that cost nothing; more delay its next ones, one is forgotten each second'),
  connectTimeoutMs: durationMs.default(10_000).describe('time a connection has to send CONNECT'),
  maxKeepaliveMs: durationMs
    .default(3_600_000)
    .describe('a client that asks for a longer keepalive, or for none, is given this one'),
  tickAfterMs: durationMs.default(2000).describe('a raw partition silent for so long gets a tick'),
});

const gateway = z.strictObject({
  workers: count
    .max(64)
    .default(1)
    .describe('processes of `sluice gateway` that share the MQTT port; limits and caps are of each'),
  spool: flag
    .default(false)
    .describe('while Kafka stalls, keep messages on the disk of the gateway and acknowledge them'),
  spoolAfterMs: durationMs.default(5000).describe('how long Kafka may stall before messages are spooled'),
  spoolMaxBytes: count.default(1024 * MiB).describe('bytes of messages in one spool; full is as if there were none'),
});

const commands = z.strictObject({
  token: z
    .string()
    .min(16, 'expected at least 16 characters, such as of `openssl rand -hex 32`')
    .optional()
    .meta({ secret: true })
    .describe(
      'who sends a command to a device over HTTP must show it; needed where HTTP is reached from other machines',
    ),
});

const kafka = z.strictObject({
  brokers: z
    .union([z.array(text).min(1), text.transform((list) => list.split(',').map((broker) => broker.trim()))])
    .optional()
    .describe('host:port list; set means that the bus is Kafka, else it is embedded'),
  clientId: text.default('sluice').describe('name in the logs of the brokers'),
  ssl: flag.default(false).describe('TLS to the brokers'),
  saslMechanism: z
    .enum(['plain', 'scram-sha-256', 'scram-sha-512'])
    .optional()
    .describe('SASL, with user and password'),
  saslUsername: text.optional().describe('SASL user'),
  saslPassword: text.optional().meta({ secret: true }).describe('SASL password'),
  lanes: z.coerce.number().int().min(1).max(4).default(1).describe('producers, each with one request in flight'),
  replicationFactor: count
    .optional()
    .describe('of topics that setup creates; default 3, or fewer on a smaller cluster'),
});

const influx = z.strictObject({
  url: z
    .url({ protocol: /^https?$/ })
    .optional()
    .describe('set means that the store is InfluxDB 2, else it is embedded'),
  token: text.optional().meta({ secret: true }).describe('API token; needs read and write on both buckets'),
  org: text.default('iot').describe('organisation'),
  bucket: text.default('telemetry').describe('bucket of raw readings and alerts'),
  rollupBucket: text.default('telemetry_rollups').describe('bucket of rollups'),
});

const topics = z.strictObject({
  prefix: z
    .string()
    .regex(/^[a-z0-9.-]*$/)
    .default('iot.')
    .describe('of every topic name, and of the default of processing.group'),
  partitions: count.default(12).describe('of per-device topics; fixed when they are created'),
  rawRetentionMs: durationMs.default(7 * DAY_MS).describe('age at which raw records go'),
  rawRetentionBytes: count.default(1024 * MiB).describe('size of one raw partition at which its oldest records go'),
});

const retention = z.strictObject({
  rawMs: durationMs.default(30 * DAY_MS).describe('age at which raw readings and alerts go from the store'),
  rollupMs: durationMs.default(730 * DAY_MS).describe('age at which rollups go from the store'),
});

const processing = z.strictObject({
  group: text
    .default('iot.processor')
    .describe('consumer group of the processors; by default it begins with topics.prefix'),
  outOfOrdernessMs: durationMs
    .default(5000)
    .describe('how far the watermark stays behind the newest event time of a device'),
  latenessMs: durationMs
    .default(600_000)
    .describe('how long after the watermark a closed window can still be corrected'),
  maxFutureMs: durationMs.default(60_000).describe('a reading further ahead of its receive time is rejected'),
  maxSkewMs: durationMs.default(5000).describe('a device whose clock is off by more is reported'),
  idleAfterMs: durationMs.default(15_000).describe('silence after which open windows close provisionally'),
  forgetAfterMs: durationMs.default(7 * DAY_MS).describe('silence after which a device is finalised and forgotten'),
  rollups: z
    .array(z.enum(['1m', '1h', '1d']))
    .min(1, 'give at least one of 1m, 1h, 1d')
    .default(['1m', '1h', '1d'])
    .describe('rollups that are written, each made from the one below'),
  timeZone: timeZone.default('UTC').describe('where days begin and end'),
  states: flag.default(true).describe('write how long each state of a boolean or string lasted, per minute'),
  readings: flag
    .default(false)
    .describe('put every accepted reading, decoded, on a topic of its own for others to read'),
  snapshotEveryMs: durationMs
    .default(10_000)
    .describe('time between snapshots of a partition; more when they would take over a thirtieth of all time'),
  snapshotEveryRecords: count.default(50_000).describe('records between snapshots of a partition'),
  sessionTimeoutMs: durationMs.default(30_000).describe('a processor not heard of for so long loses its partitions'),
});

const log = z.strictObject({
  level: z
    .enum(['debug', 'info', 'warn', 'error', 'silent'])
    .default('info')
    .describe('least severe level that is logged'),
  format: z.enum(['auto', 'pretty', 'json']).default('auto').describe('auto: pretty on a terminal, else JSON lines'),
});

export const configSchema = z.strictObject({
  host: text.default('127.0.0.1').describe('address that MQTT and HTTP listen on'),
  insecure: flag.default(false).describe('allow MQTT without credentials on a non-loopback address'),
  dataDir: text.default('./data').describe('folder of the embedded bus and store'),
  rules: text.optional().describe('alert rules file; default: rules.yaml in the working folder, if there is one'),
  drainTimeoutMs: durationMs.default(10_000).describe('time a part has to close in order'),
  startTimeoutMs: durationMs.default(30_000).describe('time to reach the bus and the store at start'),
  httpPort: port.default(8080).describe('HTTP port of health, metrics, API and page; 0 picks a free one'),
  mqtt: mqtt.prefault({}),
  gateway: gateway.prefault({}),
  commands: commands.prefault({}),
  kafka: kafka.prefault({}),
  influx: influx.prefault({}),
  topics: topics.prefault({}),
  retention: retention.prefault({}),
  processing: processing.prefault({}),
  windows: windowsSchema
    .default([])
    .describe('windows of your own, beside the rollups: a list, see docs/processing.md'),
  log: log.prefault({}),
});

export type Config = z.output<typeof configSchema>;

/** Environment variable → path in the schema. Each is also read from the file named by `NAME_FILE`. */
export const environment: Readonly<Record<string, string>> = {
  SLUICE_HOST: 'host',
  SLUICE_INSECURE: 'insecure',
  SLUICE_DATA_DIR: 'dataDir',
  SLUICE_RULES: 'rules',
  SLUICE_HTTP_PORT: 'httpPort',
  SLUICE_MQTT_PORT: 'mqtt.port',
  SLUICE_MQTT_USERNAME: 'mqtt.username',
  SLUICE_MQTT_PASSWORD: 'mqtt.password',
  SLUICE_MQTT_USERS_FILE: 'mqtt.usersFile',
  SLUICE_MQTT_ANONYMOUS: 'mqtt.anonymous',
  SLUICE_MQTT_TLS_PORT: 'mqtt.tls.port',
  SLUICE_MQTT_TLS_CERT: 'mqtt.tls.cert',
  SLUICE_MQTT_TLS_KEY: 'mqtt.tls.key',
  SLUICE_MQTT_TLS_CA: 'mqtt.tls.ca',
  SLUICE_GATEWAY_WORKERS: 'gateway.workers',
  SLUICE_GATEWAY_SPOOL: 'gateway.spool',
  SLUICE_COMMANDS_TOKEN: 'commands.token',
  SLUICE_TOPIC_PREFIX: 'topics.prefix',
  SLUICE_LOG_LEVEL: 'log.level',
  SLUICE_LOG_FORMAT: 'log.format',
  KAFKA_BROKERS: 'kafka.brokers',
  KAFKA_SSL: 'kafka.ssl',
  KAFKA_SASL_MECHANISM: 'kafka.saslMechanism',
  KAFKA_SASL_USERNAME: 'kafka.saslUsername',
  KAFKA_SASL_PASSWORD: 'kafka.saslPassword',
  INFLUX_URL: 'influx.url',
  INFLUX_TOKEN: 'influx.token',
  INFLUX_ORG: 'influx.org',
  INFLUX_BUCKET: 'influx.bucket',
  INFLUX_ROLLUP_BUCKET: 'influx.rollupBucket',
};

/** Rules between settings: what is wrong, in words with the fix. */
export function contradictions(config: Config): string[] {
  const problems: string[] = [];
  if ((config.mqtt.username === undefined) !== (config.mqtt.password === undefined)) {
    problems.push('mqtt.username and mqtt.password (SLUICE_MQTT_USERNAME, SLUICE_MQTT_PASSWORD) need each other');
  }
  const { cert, key, ca, requireClientCert } = config.mqtt.tls;
  if ((cert === undefined) !== (key === undefined)) {
    problems.push('mqtt.tls.cert and mqtt.tls.key (SLUICE_MQTT_TLS_CERT, SLUICE_MQTT_TLS_KEY) need each other');
  }
  if (ca !== undefined && cert === undefined) {
    problems.push('mqtt.tls.ca (SLUICE_MQTT_TLS_CA) is for MQTT over TLS: set mqtt.tls.cert and mqtt.tls.key too');
  }
  if (requireClientCert && ca === undefined) {
    problems.push(
      'mqtt.tls.requireClientCert needs mqtt.tls.ca (SLUICE_MQTT_TLS_CA): the authority of the certificates',
    );
  }
  if (config.mqtt.jwt.keysFile !== undefined && config.mqtt.jwt.jwksUrl !== undefined) {
    problems.push('mqtt.jwt.keysFile and mqtt.jwt.jwksUrl are both set; keep one');
  }
  if (config.influx.url !== undefined && config.influx.token === undefined) {
    problems.push(
      'influx.token is missing: set INFLUX_TOKEN or INFLUX_TOKEN_FILE to a token with access to both buckets',
    );
  }
  const sasl = [config.kafka.saslMechanism, config.kafka.saslUsername, config.kafka.saslPassword];
  if (sasl.some((part) => part !== undefined) && sasl.some((part) => part === undefined)) {
    problems.push('kafka.saslMechanism, saslUsername and saslPassword (KAFKA_SASL_…) need each other');
  }
  if (config.gateway.spool && config.kafka.brokers === undefined) {
    problems.push(
      'gateway.spool (SLUICE_GATEWAY_SPOOL) is for Kafka: the embedded bus is on this disk already; set KAFKA_BROKERS, or leave it off',
    );
  }
  if (config.mqtt.maxPacketBytes > MiB - 16 * 1024) {
    problems.push(
      'mqtt.maxPacketBytes must leave room for headers in the 1 MiB that a raw record may have: at most 1032192',
    );
  }
  return problems;
}
