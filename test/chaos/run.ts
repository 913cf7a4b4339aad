/**
 * One run of chaos: a fleet that breaks its messages on purpose and writes down what it knows, a pipeline whose
 * processes are killed, frozen, restarted, starved of disk and told a wrong time, and then `sluice verify`. Everything
 * that tells of it is left in its folder.
 */
import { appendFileSync } from 'node:fs';
import { copyFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { devicesOf } from '../../cli/simulate/flags.ts';
import { giveUsers } from '../../cli/users/fleet.ts';
import { addEntries } from '../../cli/users/users-file.ts';
import { systemClock } from '../../core/clock.ts';
import { resolveConfig } from '../../core/config.ts';
import { silentLogger } from '../../core/log.ts';
import { setUp } from '../../pipeline.ts';
import { shippedScenario } from '../../simulator/scenario/shipped.ts';
import type { VerifyReport } from '../../verify/report.ts';
import { Balancer } from './balancer.ts';
import { simulate, verify } from './commands.ts';
import type { Part, Say } from './parts.ts';
import { type Fault, plan } from './schedule.ts';
import { openSetup, type SetupName } from './setups.ts';

export interface ChaosOptions {
  readonly on: SetupName;
  readonly seed: number;
  /** How long the fleet sends. */
  readonly loadMs: number;
  /** At least one for each part of the pipeline, the kills included. */
  readonly faults: number;
  /** `kill -9` of gateways, and as many of processors, besides the one for each part. */
  readonly kills: number;
  readonly devices: number;
  /** Messages per second of the whole fleet. */
  readonly rate: number;
  /** How often as fast as the clock event time passes: more windows in less time. 1 = it is the clock. */
  readonly speed: number;
  /** The longest to wait for the processors to catch up and for the last windows to close, which a minute's end does. */
  readonly waitMs: number;
  /** Each device connects as itself, instead of as one user for all. */
  readonly identities?: boolean;
  /** An empty one. */
  readonly folder: string;
  readonly progress: (line: string) => void;
}

export interface ChaosResult {
  readonly ok: boolean;
  readonly faults: readonly Fault[];
  /** What could not be tried here, and how to get it. */
  readonly missing: readonly string[];
  /** 0: all that was made was acknowledged, or broken on purpose. */
  readonly simulateCode: number | null;
  readonly verifyCode: number | null;
  /** `null`: there was none; `verify.log` in the folder says why. */
  readonly report: VerifyReport | null;
}

const rules = join(import.meta.dirname, '../../simulator/scenario/shipped/chaos.rules.yaml');
/** A user, so that there is a password that can be wrong. */
const oneForAll = { SLUICE_MQTT_USERNAME: 'fleet', SLUICE_MQTT_PASSWORD: 'only-for-chaos' };
/** Short silences, so that a frozen processor outlives its session and the last windows close within seconds. */
const processing = '{ sessionTimeoutMs: 6s, idleAfterMs: 3s, snapshotEveryMs: 2s }';

export async function runChaos(options: ChaosOptions): Promise<ChaosResult> {
  const { on, seed, loadMs, folder } = options;
  const say = recorder(options);
  const configFile = await writeConfig(folder);
  const { users, credentials } = await letIn(options);
  const setup = await openSetup(on, folder, configFile, { credentials: users, diskMiB: diskMiB(options), say });
  const balancer = new Balancer(() => setup.roles.flatMap(({ mqttPort }) => (mqttPort === null ? [] : [mqttPort])));
  const over = new AbortController();
  try {
    for (const line of setup.missing) say('here', line);
    const broker = `mqtt://127.0.0.1:${await balancer.listen()}`;
    await setUp(resolveConfig({ env: setup.env, flags: { startTimeoutMs: '60s' }, readText: () => '' }), silentLogger);
    await Promise.all(setup.roles.map((role) => role.start()));
    const faults = plan(seed, setup.parts, loadMs, options.faults, killed(setup.roles, options.kills));
    const command = { folder, env: setup.env, leaving: over.signal };
    const [simulateCode] = await Promise.all([
      simulate({ broker, credentials, ...options }, command),
      sufferAll(faults, setup.parts, say),
    ]);
    say('fleet', `done with ${simulateCode}; everything is up`);
    const { code: verifyCode, report } = await verify(configFile, options.waitMs, command);
    say('verify', `done with ${verifyCode}`);
    const ok = simulateCode === 0 && verifyCode === 0;
    return { ok, faults, missing: setup.missing, simulateCode, verifyCode, report };
  } finally {
    over.abort();
    await balancer.close();
    for (const part of setup.parts.toReversed()) await part.close();
  }
}

/** Whom the gateways let in, as environment, and the file with what each device shows; `null`: it is in the environment. */
async function letIn({ identities = false, devices, folder }: ChaosOptions) {
  if (!identities) return { users: oneForAll, credentials: null };
  const files = { users: join(folder, 'users.ndjson'), credentials: join(folder, 'credentials.ndjson') };
  const fleet = devicesOf({ devices: String(devices) }, shippedScenario('chaos').scenario);
  await giveUsers(fleet, files, addEntries);
  return { users: { SLUICE_MQTT_USERS_FILE: files.users }, credentials: files.credentials };
}

/** Those of a kind take turns. */
function killed(roles: readonly Part[], kills: number): string[] {
  return ['gateway', 'processor'].flatMap((kind) => {
    const names = roles.map(({ name }) => name).filter((name) => name.startsWith(kind));
    return names.length === 0 ? [] : Array.from({ length: kills }, (_, i) => names[i % names.length]!);
  });
}

async function writeConfig(folder: string): Promise<string> {
  const [file, rulesFile] = [join(folder, 'sluice.yaml'), join(folder, 'rules.yaml')];
  await copyFile(rules, rulesFile);
  await writeFile(file, `rules: ${rulesFile}\nprocessing: ${processing}\nlog: { format: json }\n`);
  return file;
}

/** Log and database hold each message several times. The rest is what gets filled. */
function diskMiB({ rate, loadMs }: ChaosOptions): number {
  const messages = (rate * loadMs) / 1000;
  return 128 + Math.ceil(messages / 500);
}

/** Each event goes to `events.log` and to whoever watches, with the seconds since the start. */
function recorder({ folder, progress }: ChaosOptions): Say {
  const startedAtMs = performance.now();
  return (part, what) => {
    const line = `${((performance.now() - startedAtMs) / 1000).toFixed(1).padStart(6)} s  ${part.padEnd(12)}${what}`;
    appendFileSync(join(folder, 'events.log'), `${line}\n`);
    progress(line);
  };
}

/** At their times; of one part one after the other. */
async function sufferAll(faults: readonly Fault[], parts: readonly Part[], say: Say): Promise<void> {
  const startedAtMs = performance.now();
  await Promise.all(
    parts.map(async (part) => {
      for (const fault of faults.filter(({ part: name }) => name === part.name)) {
        await systemClock.sleep(Math.max(0, fault.atMs - (performance.now() - startedAtMs)));
        const shift = fault.kind === 'shift' ? ` by ${fault.shiftMs} ms` : '';
        say(part.name, `${fault.kind}${shift} for ${fault.forMs} ms`);
        await part.suffer(fault);
        say(part.name, `up after ${fault.kind}`);
      }
    }),
  );
}
