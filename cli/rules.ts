import { existsSync, readFileSync } from 'node:fs';
import type { Config } from '../core/config-schema.ts';
import { messageOf, SluiceError } from '../core/errors.ts';
import { parseRules, type Rule } from '../processors/rules/file.ts';

const defaultFile = 'rules.yaml';

/** The rules file that is configured, or `rules.yaml` in the working folder, or no rules. */
export function readRules(config: Config): Rule[] {
  const file = config.rules ?? defaultFile;
  if (config.rules === undefined && !existsSync(file)) return [];
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw new SluiceError('CONFIG_INVALID', `the rules file cannot be read: ${messageOf(error)}`);
  }
  return parseRules(text, file);
}
