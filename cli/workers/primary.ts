/** `sluice gateway` with several workers: the process that an operator starts, asks and ends. It takes no message itself. */
import { randomBytes } from 'node:crypto';
import { systemClock } from '../../core/clock.ts';
import type { Config } from '../../core/config-schema.ts';
import { WebServer } from '../../web/server.ts';
import { announce } from '../announce.ts';
import { endOfRun } from '../end-of-run.ts';
import { makeLogger } from '../logger.ts';
import { version } from '../version.ts';
import { WorkerFailed, Workers } from './workers.ts';

export async function runWorkers(config: Config): Promise<void> {
  const log = makeLogger(config.log);
  const workers = new Workers({
    count: config.gateway.workers,
    drainTimeoutMs: config.drainTimeoutMs,
    clock: systemClock,
    log,
  });
  let state: 'starting' | 'started' | 'closing' = 'starting';
  const web = new WebServer({
    host: config.host,
    port: config.httpPort,
    instance: randomBytes(6).toString('base64url'),
    version,
    clock: systemClock,
    log: log.child({ part: 'web' }),
    checks: { workers: () => workers.ready() },
    problems: () => (state === 'started' ? [] : [state]),
    status: () => [],
    pipeline: null,
    mqtt: (request, head) => workers.upgrade(request, head),
    labels: { worker: 'primary' },
    group: workers,
  });
  const ended = endOfRun(log, { onSecond: () => workers.kill() });
  await web.start();
  try {
    const listening = await Promise.race([workers.start(), ended.then(() => null)]);
    if (listening !== null) {
      state = 'started';
      const bus = config.kafka.brokers === undefined ? 'embedded' : 'kafka';
      const shown = { workers: config.gateway.workers, bus, store: null, page: false } as const;
      announce({ http: web.address(), ...listening, ...shown }, log);
      await ended;
    }
  } catch (error) {
    if (!(error instanceof WorkerFailed)) throw error;
    log.error({ error: error.message }, 'a worker could not start; closing');
    await workers.drain().catch(() => {});
    // It has said why; as it would have ended alone, so do we.
    process.exit(error.exit.code ?? 1);
  }
  state = 'closing';
  await workers.drain();
  // The server would never close: it waits for connections that it handed to processes which have ended.
  process.exit();
}
