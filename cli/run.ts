import { randomBytes } from 'node:crypto';
import { messageOf } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';
import { Pipeline, type Roles } from '../pipeline.ts';
import { readConfig } from './config-sources.ts';
import { startDemoFleet } from './demo.ts';
import { type CommonFlags, flagValues } from './flags.ts';
import { makeLogger } from './logger.ts';
import { readRules } from './rules.ts';
import { version } from './version.ts';

/** Runs roles until a signal or a failure ends them. */
export async function runRoles(roles: Roles, flags: CommonFlags, { demo = false } = {}): Promise<void> {
  const config = readConfig(flags.config, flagValues(flags));
  const log = makeLogger(config.log);
  const pipeline = new Pipeline(config, roles, {
    rules: readRules(config),
    version,
    instance: randomBytes(6).toString('base64url'),
    log,
  });
  const ended = endOfRun(pipeline, log);
  // A signal also ends a start that waits for Kafka or InfluxDB.
  await Promise.race([pipeline.start(), ended]);
  let fleet: { stop(): Promise<void> } | null = null;
  if (pipeline.isStarted) {
    announce(pipeline, roles, log);
    if (demo) fleet = await startDemoFleet({ ...config.mqtt, ...pipeline.gateway!.address() }, log);
  }
  const failure = await ended;
  await fleet?.stop();
  await pipeline.close();
  if (failure !== null) throw failure;
}

/** Resolves with `null` at the first SIGINT or SIGTERM, or with what failed. A second signal ends the process at once. */
function endOfRun(pipeline: Pipeline, log: Logger): Promise<Error | null> {
  return new Promise((resolve) => {
    let signals = 0;
    const onSignal = (signal: NodeJS.Signals) => {
      signals++;
      if (signals > 1) process.exit(130);
      log.info({ signal }, 'draining; a second signal ends at once');
      resolve(null);
    };
    process.on('SIGINT', onSignal);
    process.on('SIGTERM', onSignal);
    pipeline.failed.catch((error: unknown) => {
      log.error({ error: messageOf(error) }, 'a part cannot go on; closing');
      resolve(error instanceof Error ? error : new Error(messageOf(error)));
    });
  });
}

/** Says where everything is: in the log for machines, and on standard output for the person who typed the command. */
function announce(pipeline: Pipeline, roles: Roles, log: Logger): void {
  const http = pipeline.web.address();
  const mqtt = pipeline.gateway?.address() ?? null;
  log.info({ version, http, mqtt, bus: pipeline.bus.kind, store: pipeline.store?.kind ?? null }, 'started');
  const lines = [
    `Sluice ${version}  (bus: ${pipeline.bus.kind}, store: ${pipeline.store?.kind ?? 'none'})`,
    ...(roles.page ? [`  live page  http://${http.host}:${http.port}/`] : []),
    `  health     http://${http.host}:${http.port}/readyz`,
    ...(mqtt === null ? [] : [`  MQTT       ${mqtt.host}:${mqtt.port}`]),
    '  Ctrl-C drains and stops',
  ];
  console.log(lines.join('\n'));
}
