import { randomBytes } from 'node:crypto';
import type { Config } from '../core/config-schema.ts';
import { SluiceError } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';
import { Pipeline, type Roles } from '../pipeline.ts';
import { announce } from './announce.ts';
import { readConfig } from './config-sources.ts';
import { prepareDemo, startDemoFleet } from './demo.ts';
import { endOfRun } from './end-of-run.ts';
import { type CommonFlags, flagValues } from './flags.ts';
import { makeLogger } from './logger.ts';
import { readRules } from './rules.ts';
import { version } from './version.ts';

/** Runs roles in this process until a signal or a failure ends them. */
export async function runRoles(roles: Roles, flags: CommonFlags, { demo = false } = {}): Promise<void> {
  const given = readConfig(flags.config, flagValues(flags));
  if (roles.gateway && given.gateway.workers > 1) {
    throw new SluiceError(
      'CONFIG_INVALID',
      `gateway.workers is ${given.gateway.workers}, and \`sluice start\` runs everything in one process: ` +
        'set it to 1, or run `sluice gateway`, `sluice processor` and `sluice web`',
    );
  }
  const prepared = demo ? await prepareDemo(given) : null;
  const config = prepared?.config ?? given;
  const log = makeLogger(config.log);
  const pipeline = openPipeline(config, roles, log);
  const ended = endOfRun(log, { failed: pipeline.failed });
  // A signal also ends a start that waits for Kafka or InfluxDB.
  await Promise.race([pipeline.start(), ended]);
  let fleet: { stop(): Promise<void> } | null = null;
  if (pipeline.isStarted) {
    const { bus, store, gateway, web } = pipeline;
    const mqtt = gateway?.address() ?? null;
    const tls = gateway?.tlsAddress() ?? null;
    announce({ http: web.address(), mqtt, tls, bus: bus.kind, store: store?.kind ?? null, page: roles.page }, log);
    if (prepared !== null && mqtt !== null) fleet = startDemoFleet(mqtt, prepared.credentials, log);
  }
  const failure = await ended;
  await fleet?.stop();
  await pipeline.close();
  if (failure !== null) throw failure;
  // Not left to the event loop: what a broker that hangs still owes us would keep the process until it is given up.
  process.exit();
}

/** `worker`: its number, where this process is one of several that share the MQTT port. */
export function openPipeline(config: Config, roles: Roles, log: Logger, worker: number | null = null): Pipeline {
  return new Pipeline(config, roles, {
    rules: readRules(config),
    version,
    instance: randomBytes(6).toString('base64url'),
    log,
    worker,
  });
}
