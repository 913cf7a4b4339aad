import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { type Command, Option } from 'commander';
import { z } from 'zod';
import { systemClock } from '../core/clock.ts';
import { count, durationMs } from '../core/config.ts';
import { messageOf, SluiceError } from '../core/errors.ts';
import { routeOf } from '../core/route.ts';
import { defaultSimulatorOptions as defaults, type SimulatorOptions } from '../simulator/options.ts';
import { progressLine, reportOf, reportText } from '../simulator/report.ts';
import { Simulator } from '../simulator/simulator.ts';
import { TruthWriter } from '../simulator/truth.ts';
import { makeLogger } from './logger.ts';
import { version } from './version.ts';

/** As commander gives them: text, or absent. */
export interface SimulateFlags {
  readonly [flag: string]: string | boolean | undefined;
  readonly json?: boolean;
}

/** The letters are those of emqtt-bench. */
export function addSimulateOptions(command: Command): Command {
  const options: readonly [flags: string, description: string, fallback: unknown][] = [
    ['--broker <url>', 'mqtt://host:port, or mqtts:// for TLS', defaults.broker],
    ['-c, --devices <n>', 'devices, each with a connection of its own', defaults.devices],
    ['--sites <list>', 'sites the devices are shared out among, comma-separated', defaults.sites.join(',')],
    ['-I, --interval <time>', 'between two messages of a device: milliseconds, or 500ms, 10s, 1m', '1s'],
    ['--rate <n>', 'messages per second of the whole fleet, instead of --interval', undefined],
    ['--jitter <part>', 'part of the interval, 0 to 1, by which a message may come late', defaults.jitter],
    ['-q, --qos <level>', '0, 1 or 2', defaults.qos],
    ['-t, --topic <template>', 'with {site} and {device}', defaults.topic],
    ['--client-id <template>', 'with {site}, {device} and {run}', defaults.clientId],
    ['--seed <n>', 'same seed, same values', defaults.seed],
    ['--duration <time>', 'how long to send; default: until Ctrl-C', undefined],
    ['-L, --limit <n>', 'messages in all; default: no limit', undefined],
    ['-R, --connrate <n>', 'connections opened per second', defaults.connectRate],
    ['-k, --keepalive <seconds>', 'MQTT keepalive', defaults.keepaliveSeconds],
    ['-F, --inflight <n>', 'unacknowledged messages in flight per device', defaults.maxInFlight],
    ['--buffer <n>', 'messages one device holds; beyond, new ones are skipped', defaults.maxHeld],
    ['--drain <time>', 'how long to wait for outstanding acknowledgements', '10s'],
    ['--truth <file>', 'write what became of every message, for `sluice verify`', undefined],
    ['-u, --username <name>', 'user [SLUICE_MQTT_USERNAME]', undefined],
    ['-P, --password <text>', 'password, for all to see; better [SLUICE_MQTT_PASSWORD, …_FILE]', undefined],
  ];
  for (const [flags, description, fallback] of options) {
    const shown = fallback === undefined ? description : `${description} (default: ${fallback})`;
    command.addOption(new Option(flags, shown));
  }
  return command.option('--json', 'print the report as JSON').addHelpText(
    'after',
    `
A line per second goes to standard error, the report to standard output. The first Ctrl-C waits for what is
outstanding and reports; the second ends at once.
Exit codes: 0 all was sent, and acknowledged above QoS 0 · 1 it was not · 2 wrong usage

Try it:
  sluice simulate --devices 100 --rate 2000 --duration 10s
  sluice simulate --broker mqtt://test.example:1883 -c 1 -I 5s -t 'site/{site}/{device}'`,
  );
}

export async function simulate(flags: SimulateFlags): Promise<void> {
  const options = readSimulateFlags(flags, process.env, (path) => readFileSync(path, 'utf8'));
  const run = randomBytes(3).toString('hex');
  const truth = openTruth(flags.truth, options, run);
  const fleet = new Simulator(options, {
    clock: systemClock,
    log: makeLogger({ level: 'info', format: 'pretty' }),
    run,
    ...(truth === null ? {} : { truth }),
  });
  const cpuBefore = process.cpuUsage();
  const startedMs = performance.now();
  const secondsSoFar = () => (performance.now() - startedMs) / 1000;
  fleet.start();
  let before = fleet.stats();
  const stopProgress = systemClock.every(1000, () => {
    const now = fleet.stats();
    process.stderr.write(`${progressLine(Math.round(secondsSoFar()), now, before)}\n`);
    before = now;
  });
  await Promise.race([fleet.finished, firstSignal()]);
  const seconds = secondsSoFar();
  await fleet.stop();
  truth?.close();
  stopProgress();
  const { user, system } = process.cpuUsage(cpuBefore);
  const report = reportOf(options, fleet.stats(), { seconds, cpuUs: user + system }, version);
  console.log(flags.json === true ? JSON.stringify(report, null, 2) : reportText(report));
  if (report.problems.length > 0) process.exitCode = 1;
}

/** `null` when none was asked for. */
function openTruth(file: SimulateFlags[string], options: SimulatorOptions, run: string): TruthWriter | null {
  if (typeof file !== 'string') return null;
  const { broker, qos, seed, topic } = options;
  if (routeOf(topic) === null) {
    const what = `--truth: the pipeline has no route for ${topic}, so none of it would be stored`;
    throw new SluiceError('CONFIG_INVALID', `${what}: keep the default --topic`);
  }
  const startedAtMs = systemClock.nowMs();
  const writer = new TruthWriter({ file, version, run, broker, qos, seed, startedAtMs });
  writer.open();
  return writer;
}

/** Resolves at the first SIGINT or SIGTERM. The second ends the process. */
function firstSignal(): Promise<void> {
  return new Promise((resolve) => {
    let signals = 0;
    const onSignal = () => {
      signals++;
      if (signals > 1) process.exit(130);
      process.stderr.write('waiting for what is outstanding; a second Ctrl-C ends at once\n');
      resolve();
    };
    process.on('SIGINT', onSignal);
    process.on('SIGTERM', onSignal);
  });
}

const template = z
  .string()
  .min(1)
  .refine((text) => text.includes('{device}'), 'must contain {device}, so that each device has its own');
const topic = template.refine((text) => !/[+#\0]/.test(text), 'must not contain + or #: it is published to');

const schema = z.object({
  broker: z
    .url({ protocol: /^mqtts?$/, error: 'expected mqtt://host:port or mqtts://host:port' })
    .refine(hasNoUser, 'must not contain a user or password: give them with --username and SLUICE_MQTT_PASSWORD')
    .default(defaults.broker),
  devices: count.default(defaults.devices),
  sites: z
    .string()
    .transform((list) => list.split(',').map((site) => site.trim()))
    .refine((sites) => sites.every((site) => /^[^/+#\0]+$/.test(site)), 'expected names without / + #')
    .default([...defaults.sites]),
  interval: durationMs.optional(),
  rate: z.coerce.number().positive().optional(),
  jitter: z.coerce.number().min(0).max(1).default(defaults.jitter),
  qos: z
    .enum(['0', '1', '2'])
    .transform((level) => Number(level) as 0 | 1 | 2)
    .default(defaults.qos),
  topic: topic.default(defaults.topic),
  clientId: template.default(defaults.clientId),
  seed: z.coerce.number().int().min(0).default(defaults.seed),
  duration: durationMs.optional(),
  limit: count.optional(),
  connrate: z.coerce.number().positive().default(defaults.connectRate),
  keepalive: z.coerce.number().int().min(0).max(65_535).default(defaults.keepaliveSeconds),
  inflight: count.max(65_535).default(defaults.maxInFlight),
  buffer: count.default(defaults.maxHeld),
  drain: durationMs.default(defaults.drainMs),
  username: z.string().min(1).optional(),
  password: z.string().optional(),
});

/** Checks the flags as a whole. Throws CONFIG_INVALID that lists every error. */
export function readSimulateFlags(
  flags: SimulateFlags,
  env: Readonly<Record<string, string | undefined>>,
  readText: (path: string) => string,
): SimulatorOptions {
  const problems: string[] = [];
  const username = flags.username ?? fromEnvironment('SLUICE_MQTT_USERNAME', env, readText, problems);
  const password = flags.password ?? fromEnvironment('SLUICE_MQTT_PASSWORD', env, readText, problems);
  const parsed = schema.safeParse({ ...flags, username, password });
  for (const issue of parsed.error?.issues ?? []) problems.push(`${flagName(String(issue.path[0]))}: ${issue.message}`);
  if ((username === undefined) !== (password === undefined)) {
    problems.push('user and password (SLUICE_MQTT_USERNAME, SLUICE_MQTT_PASSWORD) need each other');
  }
  if (flags.rate !== undefined && flags.interval !== undefined)
    problems.push('--rate and --interval: give one of them');
  const values = parsed.data;
  const intervalMs =
    values?.rate === undefined ? (values?.interval ?? defaults.intervalMs) : (1000 * values.devices) / values.rate;
  if (intervalMs < 1) {
    problems.push('more than 1000 messages per second and device: take more --devices, or a lower --rate');
  }
  if (values === undefined || problems.length > 0) {
    throw new SluiceError('CONFIG_INVALID', `wrong usage, ${problems.length} error(s):\n  ${problems.join('\n  ')}`);
  }
  return {
    ...defaults,
    broker: values.broker,
    credentials:
      values.username === undefined || values.password === undefined
        ? null
        : { username: values.username, password: values.password },
    devices: values.devices,
    sites: values.sites,
    topic: values.topic,
    clientId: values.clientId,
    qos: values.qos,
    intervalMs,
    jitter: values.jitter,
    seed: values.seed,
    connectRate: values.connrate,
    keepaliveSeconds: values.keepalive,
    maxInFlight: values.inflight,
    maxHeld: values.buffer,
    limit: values.limit ?? null,
    durationMs: values.duration ?? null,
    drainMs: values.drain,
  };
}

function fromEnvironment(
  name: string,
  env: Readonly<Record<string, string | undefined>>,
  readText: (path: string) => string,
  problems: string[],
): string | undefined {
  const file = env[`${name}_FILE`];
  if (!file) return env[name] || undefined;
  try {
    return readText(file).trim();
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
