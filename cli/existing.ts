/** For commands that look at a pipeline from outside: its bus and store, which must be there already. */
import { existsSync, readdirSync } from 'node:fs';
import type { Command } from 'commander';
import type { Bus } from '../bus/port.ts';
import { systemClock } from '../core/clock.ts';
import type { Config } from '../core/config-schema.ts';
import { SluiceError } from '../core/errors.ts';
import type { Store } from '../store/port.ts';
import { commonFlags } from './flags.ts';
import { makeLogger } from './logger.ts';

/** Of the flags of the configuration: those that say where bus and store are and what was in force. */
const takenFlags = ['--config', '--data-dir', '--rules', '--kafka-brokers', '--influx-url', '--log-level'];

export function addExistingFlags(command: Command): Command {
  for (const option of commonFlags) if (takenFlags.includes(option.long ?? '')) command.addOption(option);
  return command;
}

export async function withBus(config: Config, work: (bus: Bus) => Promise<void>): Promise<void> {
  mustExist(config);
  const { openBus } = await import('../pipeline.ts');
  const bus = openBus(config, systemClock, makeLogger(config.log));
  try {
    await bus.start();
    await work(bus);
  } finally {
    await bus.close();
  }
}

export function withBusAndStore(config: Config, work: (bus: Bus, store: Store) => Promise<void>): Promise<void> {
  return withBus(config, async (bus) => {
    const { openStore } = await import('../pipeline.ts');
    // Looking must delete nothing, however old it is.
    const retention = { ...config.retention, rawMs: Number.POSITIVE_INFINITY, rollupMs: Number.POSITIVE_INFINITY };
    const store = openStore({ ...config, retention }, systemClock, makeLogger(config.log));
    try {
      await store.start();
      await work(bus, store);
    } finally {
      await store.close();
    }
  });
}

/** Opening an embedded bus or store would make an empty one. */
function mustExist({ dataDir, kafka, influx }: Config): void {
  const isEmbedded = kafka.brokers === undefined || influx.url === undefined;
  const isThere = existsSync(dataDir) && readdirSync(dataDir).some((name) => name.endsWith('.sqlite'));
  if (isEmbedded && !isThere) {
    const hint = 'give the folder of the pipeline with --data-dir, or name Kafka and InfluxDB';
    throw new SluiceError('CONFIG_INVALID', `there is no bus or store in ${dataDir}: ${hint}`);
  }
}
