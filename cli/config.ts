import { stringify } from 'yaml';
import { configReference, withoutSecrets } from '../core/config.ts';
import { readConfig } from './config-sources.ts';
import { type CommonFlags, flagValues } from './flags.ts';

export function printConfig(flags: CommonFlags & { json?: boolean; all?: boolean }): void {
  if (flags.all === true) {
    const reference = configReference();
    console.log(flags.json === true ? JSON.stringify(reference, null, 2) : reference.map(describe).join('\n'));
    return;
  }
  const config = withoutSecrets(readConfig(flags.config, flagValues(flags)));
  console.log(flags.json === true ? JSON.stringify(config, null, 2) : stringify(config).trimEnd());
}

function describe(setting: ReturnType<typeof configReference>[number]): string {
  const variable = setting.variable === null ? '' : `  [${setting.variable}]`;
  const fallback = setting.default === undefined ? '' : `  (default ${JSON.stringify(setting.default)})`;
  return `${setting.path}${variable}${fallback}\n    ${setting.description}`;
}
