/** The bus and the configuration that a measured process uses, opened by the benchmark itself. */
import type { Bus } from '../bus/port.ts';
import { systemClock } from '../core/clock.ts';
import { resolveConfig } from '../core/config.ts';
import type { Config } from '../core/config-schema.ts';
import { silentLogger } from '../core/log.ts';
import { openBus, setUp } from '../pipeline.ts';

export function configOf(env: Record<string, string>): Config {
  return resolveConfig({ env, flags: {}, readText: () => '' });
}

export async function setUpTopics(env: Record<string, string>): Promise<void> {
  await setUp(configOf(env), silentLogger);
}

export async function openBenchBus(env: Record<string, string>): Promise<Bus> {
  const bus = openBus(configOf(env), systemClock, silentLogger);
  await bus.start();
  return bus;
}
