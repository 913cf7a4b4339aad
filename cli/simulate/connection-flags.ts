/** The flags about broker, connections and their bounds: the same for fleets and for a replay. */
import { type Command, Option } from 'commander';
import { z } from 'zod';
import { count } from '../../core/config-schema.ts';
import { durationMs } from '../../core/duration.ts';
import { messageOf, SluiceError } from '../../core/errors.ts';
import {
  type Certificate,
  defaultSimulatorOptions as defaults,
  type SimulatorOptions,
  type Tls,
} from '../../simulator/options.ts';
import { filledIn } from '../../simulator/way.ts';
import { parseCredentials } from '../credentials-file.ts';

/** As commander gives them: text, or absent. */
export interface Flags {
  readonly [flag: string]: string | boolean | undefined;
}

/** What the flags are read with; replaced in tests. */
export interface Surroundings {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly readFile: (path: string) => Buffer;
}

export type FlagHelp = readonly [flags: string, description: string, fallback?: unknown];

export const connectionFlags: readonly FlagHelp[] = [
  ['--broker <url>', 'mqtt://host:port, or mqtts:// for TLS', defaults.broker],
  ['-u, --username <name>', 'user [SLUICE_MQTT_USERNAME]'],
  ['-P, --password <text>', 'password, for all to see; better [SLUICE_MQTT_PASSWORD, …_FILE]'],
  ['--credentials <file>', 'a user for each device, as `sluice users import` writes them, instead of one for all'],
  ['--ca <file>', 'PEM: who may have signed the certificate of the broker'],
  ['--cert <file>', 'PEM: certificate of the devices; with --key. With {site} and {device}: each its own'],
  ['--key <file>', 'PEM: its private key, in the same way'],
  ['--insecure', 'take any certificate of the broker'],
  ['-q, --qos <level>', '0, 1 or 2', defaults.qos],
  ['-t, --topic <template>', 'with {site} and {device}', defaults.topic],
  ['--client-id <template>', 'with {device}, and {site} and {run} if need be', defaults.clientId],
  ['--no-clean', 'persistent sessions; the default client id is then {device}'],
  ['--will-topic <template>', 'a will: what the broker publishes for a device that is lost; with {site} and {device}'],
  ['--will-payload <text>', 'its payload', ''],
  ['--will-qos <level>', 'its QoS', 0],
  ['--will-retain', 'it is retained'],
  ['-k, --keepalive <seconds>', 'MQTT keepalive', defaults.keepaliveSeconds],
  ['-F, --inflight <n>', 'unacknowledged messages in flight per device', defaults.maxInFlight],
  ['--buffer <n>', 'messages one device holds; beyond, new ones are skipped', defaults.maxHeld],
  ['--drain <time>', 'how long to wait for outstanding acknowledgements', '10s'],
];

export function addFlags(command: Command, flags: readonly FlagHelp[]): Command {
  for (const [names, description, fallback] of flags) {
    const shown = fallback === undefined ? description : `${description} (default: ${JSON.stringify(fallback)})`;
    command.addOption(new Option(names, shown));
  }
  return command;
}

const isOwn = (text: string) => text.includes('{device}');
const template = z.string().min(1).refine(isOwn, 'must contain {device}, so that each device has its own');
const isTopic = (text: string) => !/[+#\0]/.test(text);
const topic = template.refine(isTopic, 'must not contain + or #: it is published to');
const qos = z.enum(['0', '1', '2'], 'expected 0, 1 or 2').transform((level) => Number(level) as 0 | 1 | 2);
const present = z.literal(true).optional();

const schema = z.object({
  broker: z
    .url({ protocol: /^mqtts?$/, error: 'expected mqtt://host:port or mqtts://host:port' })
    .refine(hasNoUser, 'must not contain a user or password: give them with --username and SLUICE_MQTT_PASSWORD')
    .default(defaults.broker),
  username: z.string().min(1).optional(),
  password: z.string().optional(),
  credentials: z.string().min(1).optional(),
  ca: z.string().optional(),
  cert: z.string().optional(),
  key: z.string().optional(),
  insecure: present,
  qos: qos.default(defaults.qos),
  topic: topic.default(defaults.topic),
  clientId: template.optional(),
  clean: z.boolean().default(true),
  willTopic: topic.optional(),
  willPayload: z.string().optional(),
  willQos: qos.optional(),
  willRetain: present,
  keepalive: z.coerce.number().int().min(0).max(65_535).default(defaults.keepaliveSeconds),
  inflight: count.max(65_535).default(defaults.maxInFlight),
  buffer: count.default(defaults.maxHeld),
  drain: durationMs.default(defaults.drainMs),
});
type Values = z.output<typeof schema>;

export type ConnectionOptions = Omit<SimulatorOptions, 'scenario' | 'fleets'>;

/** `null` when something is wrong; then the problems say what. */
export function readConnectionFlags(flags: Flags, around: Surroundings, problems: string[]): ConnectionOptions | null {
  const username = flags.username ?? fromEnvironment('SLUICE_MQTT_USERNAME', around, problems);
  const password = flags.password ?? fromEnvironment('SLUICE_MQTT_PASSWORD', around, problems);
  if ((username === undefined) !== (password === undefined)) {
    problems.push('user and password (SLUICE_MQTT_USERNAME, SLUICE_MQTT_PASSWORD) need each other');
  }
  const values = parseFlags(schema, { ...flags, username, password }, problems);
  if (values === null) return null;
  problems.push(...contradictions(values));
  return {
    ...defaults,
    broker: values.broker,
    credentials: credentialsOf(values, around, problems),
    tls: tlsOf(values, around, problems),
    topic: values.topic,
    clientId: values.clientId ?? (values.clean ? defaults.clientId : '{device}'),
    clean: values.clean,
    will:
      values.willTopic === undefined
        ? null
        : {
            topic: values.willTopic,
            payload: values.willPayload ?? '',
            qos: values.willQos ?? 0,
            retain: values.willRetain === true,
          },
    qos: values.qos,
    keepaliveSeconds: values.keepalive,
    maxInFlight: values.inflight,
    maxHeld: values.buffer,
    drainMs: values.drain,
  };
}

/** Checks flags against a schema; every problem is named after its flag. */
export function parseFlags<T>(schema: z.ZodType<T>, flags: Flags, problems: string[]): T | null {
  const parsed = schema.safeParse(flags);
  for (const issue of parsed.error?.issues ?? []) problems.push(`${flagName(String(issue.path[0]))}: ${issue.message}`);
  return parsed.data ?? null;
}

function contradictions({ broker, clean, clientId, willTopic, ...values }: Values): string[] {
  const { username, credentials, ca, cert, key, insecure, willPayload, willQos, willRetain } = values;
  const problems: string[] = [];
  if (credentials !== undefined && username !== undefined) {
    problems.push('--credentials and a user for all (--username, SLUICE_MQTT_USERNAME): give one of them');
  }
  if ((cert === undefined) !== (key === undefined)) problems.push('--cert and --key need each other');
  if (!broker.startsWith('mqtts:') && (ca ?? cert ?? key ?? insecure) !== undefined) {
    problems.push('--ca, --cert, --key and --insecure are for TLS: --broker mqtts://…');
  }
  if (!clean && clientId?.includes('{run}')) {
    problems.push('--client-id: with --no-clean it must be the same in every run, without {run}');
  }
  if (willTopic === undefined && (willPayload ?? willQos ?? willRetain) !== undefined) {
    problems.push('--will-payload, --will-qos and --will-retain need --will-topic');
  }
  return problems;
}

function credentialsOf(
  { username, password, credentials: file }: Values,
  { readFile }: Surroundings,
  problems: string[],
): SimulatorOptions['credentials'] {
  if (file === undefined) return username === undefined || password === undefined ? null : { username, password };
  try {
    const own = parseCredentials(readFile(file).toString('utf8'));
    return ({ site, device }) => {
      const found = own.get(`${site}/${device}`);
      if (found !== undefined) return { username: found.user, password: found.password };
      const fix = '`sluice users import` makes one';
      throw new SluiceError('CONFIG_INVALID', `--credentials: ${file} has no user for ${site}/${device}: ${fix}`);
    };
  } catch (error) {
    problems.push(`--credentials: ${file} cannot be used (${messageOf(error)})`);
    return null;
  }
}

function tlsOf({ broker, ca, cert, key, insecure }: Values, around: Surroundings, problems: string[]): Tls | null {
  if (!broker.startsWith('mqtts:')) return null;
  const read = (flag: string, path: string) => {
    try {
      return around.readFile(path);
    } catch (error) {
      throw new SluiceError('CONFIG_INVALID', `${flag}: ${path} cannot be read (${messageOf(error)})`);
    }
  };
  const certificate = (files: CertificateFiles): Certificate => ({
    cert: read('--cert', files.cert),
    key: read('--key', files.key),
  });
  try {
    return {
      ca: ca === undefined ? null : read('--ca', ca),
      certificate: cert === undefined || key === undefined ? null : shownCertificate({ cert, key }, certificate),
      insecure: insecure === true,
    };
  } catch (error) {
    problems.push(messageOf(error));
    return null;
  }
}

interface CertificateFiles {
  readonly cert: string;
  readonly key: string;
}

/** Read now, or for each device when it joins. */
function shownCertificate(files: CertificateFiles, read: (files: CertificateFiles) => Certificate): Tls['certificate'] {
  const { cert, key } = files;
  if (!isOwn(cert) && !isOwn(key)) return read(files);
  return (device) => read({ cert: filledIn(cert, device, ''), key: filledIn(key, device, '') });
}

function fromEnvironment(name: string, { env, readFile }: Surroundings, problems: string[]): string | undefined {
  const file = env[`${name}_FILE`];
  if (!file) return env[name] || undefined;
  try {
    return readFile(file).toString('utf8').trim();
  } catch (error) {
    problems.push(`${name}_FILE: ${file} cannot be read (${messageOf(error)})`);
    return undefined;
  }
}

function flagName(key: string): string {
  return `--${key.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

function hasNoUser(text: string): boolean {
  const url = URL.parse(text);
  return url === null || (url.username === '' && url.password === '');
}
