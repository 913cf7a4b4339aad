import cluster from 'node:cluster';
import { readConfig } from './config-sources.ts';
import { type CommonFlags, flagValues } from './flags.ts';

/** `sluice gateway`: one process, or a primary with its workers. Each loads only what it runs. */
export async function runGateway(flags: CommonFlags): Promise<void> {
  const config = readConfig(flags.config, flagValues(flags));
  if (cluster.isWorker) {
    await (await import('./workers/worker.ts')).runWorker(config);
  } else if (config.gateway.workers > 1) {
    await (await import('./workers/primary.ts')).runWorkers(config);
  } else {
    await (await import('./run.ts')).runRoles({ gateway: true, processor: false, page: false }, flags);
  }
}
