import { setUp } from '../pipeline.ts';
import { readConfig } from './config-sources.ts';
import { type CommonFlags, flagValues } from './flags.ts';
import { makeLogger } from './logger.ts';

export async function runSetup(flags: CommonFlags & { json?: boolean }): Promise<void> {
  const config = readConfig(flags.config, flagValues(flags));
  const created = await setUp(config, makeLogger(config.log));
  if (flags.json === true) {
    console.log(JSON.stringify({ created }));
    return;
  }
  for (const what of created) console.log(`created ${what}`);
  if (created.length === 0) console.log('nothing to create: everything is there');
}
