import { existsSync, readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { resolveConfig } from '../core/config.ts';
import type { Config } from '../core/config-schema.ts';
import { messageOf, SluiceError } from '../core/errors.ts';

const defaultFile = 'sluice.yaml';

/** Reads `sluice.yaml` (or the file asked for), the environment and the flags into one checked configuration. */
export function readConfig(file: string | undefined, flags: Readonly<Record<string, unknown>>): Config {
  const name = file ?? defaultFile;
  const content = file !== undefined || existsSync(defaultFile) ? readYaml(name) : undefined;
  return resolveConfig({
    ...(content === undefined ? {} : { file: { name, content } }),
    env: process.env,
    flags,
    readText: (path) => readFileSync(path, 'utf8'),
  });
}

function readYaml(name: string): unknown {
  try {
    return parse(readFileSync(name, 'utf8')) ?? {};
  } catch (error) {
    throw new SluiceError('CONFIG_INVALID', `${name} cannot be read: ${messageOf(error)}`, { cause: error });
  }
}
