/**
 * One run of chaos: a fleet that breaks its messages on purpose and writes down what it knows, a pipeline whose
 * processes are killed, frozen, restarted, starved of disk and told a wrong time, and then `sluice verify`. Everything
 * that tells of it is left in its folder.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, createWriteStream } from 'node:fs';
import { copyFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { systemClock } from '../../core/clock.ts';
import { resolveConfig } from '../../core/config.ts';
import { messageOf } from '../../core/errors.ts';
import { silentLogger } from '../../core/log.ts';
import { setUp } from '../../pipeline.ts';
import type { VerifyReport } from '../../verify/report.ts';
import { Balancer } from './balancer.ts';
import type { Part, Say } from './parts.ts';
import { type Fault, plan } from './schedule.ts';
import { openSetup, type SetupName } from './setups.ts';

export interface ChaosOptions {
  readonly on: SetupName;
  readonly seed: number;
  /** How long the fleet sends. */
  readonly loadMs: number;
  /** At least one for each part of the pipeline. */
  readonly faults: number;
  readonly devices: number;
  /** Messages per second of the whole fleet. */
  readonly rate: number;
  /** An empty one. */
  readonly folder: string;
  readonly progress: (line: string) => void;
}

export interface ChaosResult {
  readonly ok: boolean;
  readonly faults: readonly Fault[];
  /** What could not be tried here, and how to get it. */
  readonly missing: readonly string[];
  /** The fleet had its end: all that it made was acknowledged, or was broken on purpose. */
  readonly simulateCode: number | null;
  readonly verifyCode: number | null;
  /** `null`: there was none; `verify.log` says why. */
  readonly report: VerifyReport | null;
}

const root = join(import.meta.dirname, '../..');
const program = join(root, 'bin/sluice.js');
const rules = join(root, 'simulator/scenario/shipped/chaos.rules.yaml');
/** A user, so that there is a password that can be wrong. */
const credentials = { SLUICE_MQTT_USERNAME: 'fleet', SLUICE_MQTT_PASSWORD: 'only-for-chaos' };

/** Short silences, so that a frozen processor outlives its session and the last windows close within seconds. */
const config = `processing: { sessionTimeoutMs: 6s, idleAfterMs: 3s, snapshotEveryMs: 2s }
log: { level: info, format: json }
`;
/** For the devices to be rid of what they hold once everything is up again. */
const drain = '120s';
const verifyWait = '90s';

export async function runChaos(options: ChaosOptions): Promise<ChaosResult> {
  const { on, seed, loadMs, folder, rate } = options;
  const say = recorder(options);
  const configFile = join(folder, 'sluice.yaml');
  await writeFile(configFile, `rules: ${join(folder, 'rules.yaml')}\n${config}`);
  await copyFile(rules, join(folder, 'rules.yaml'));
  // Log and database hold each message several times; what is filled is the rest.
  const diskMiB = 128 + Math.ceil((rate * loadMs) / 1000 / 500);
  const setup = await openSetup(on, folder, configFile, { credentials, diskMiB, say });
  const balancer = new Balancer(() => setup.roles.flatMap(({ mqttPort }) => (mqttPort === null ? [] : [mqttPort])));
  try {
    for (const line of setup.missing) say('here', line);
    await setUp(resolveConfig({ env: setup.env, flags: { startTimeoutMs: '60s' }, readText: () => '' }), silentLogger);
    await Promise.all(setup.roles.map((role) => role.start()));
    const broker = `mqtt://127.0.0.1:${await balancer.listen()}`;
    const faults = plan(seed, setup.parts, loadMs, options.faults);
    const [simulateCode] = await Promise.all([simulate(broker, options), sufferAll(faults, setup.parts, say)]);
    say('fleet', `ended with ${simulateCode}; everything is up`);
    const { code: verifyCode, report } = await runVerify(configFile, folder, setup.env);
    const ok = simulateCode === 0 && verifyCode === 0;
    return { ok, faults, missing: setup.missing, simulateCode, verifyCode, report };
  } finally {
    await balancer.close();
    for (const part of setup.parts.toReversed()) await part.close();
  }
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

async function simulate(broker: string, { seed, loadMs, devices, rate, folder }: ChaosOptions): Promise<number | null> {
  const size = ['--devices', String(devices), '--rate', String(rate), '--seed', String(seed)];
  const ends = ['--duration', `${loadMs}ms`, '--drain', drain];
  const { code } = await sluice(
    ['simulate', 'chaos', '--broker', broker, ...size, ...ends, '--truth', join(folder, 'truth.ndjson')],
    credentials,
    join(folder, 'simulate.log'),
  );
  return code;
}

async function runVerify(configFile: string, folder: string, env: Readonly<Record<string, string>>) {
  const files = ['--truth', join(folder, 'truth.ndjson'), '--html', join(folder, 'verify.html')];
  const args = ['verify', '--config', configFile, ...files, '--wait', verifyWait, '--json', '--all'];
  const { code, out } = await sluice(args, env, join(folder, 'verify.log'));
  await writeFile(join(folder, 'verify.json'), out);
  try {
    return { code, report: JSON.parse(out) as VerifyReport };
  } catch (error) {
    return { code, report: null, error: messageOf(error) };
  }
}

/** Runs one command of Sluice to its end; its standard error goes to the file. */
async function sluice(args: readonly string[], env: Readonly<Record<string, string>>, logFile: string) {
  const child = spawn(process.execPath, [program, ...args], {
    env: { PATH: process.env.PATH, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  child.stderr.pipe(createWriteStream(logFile));
  const [out, [code]] = await Promise.all([text(child.stdout), once(child, 'close') as Promise<[number | null]>]);
  return { code, out };
}
