/** The scenarios that come with the program: each a file in `shipped/`, with its alert rules beside it. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { messageOf, SluiceError } from '../../core/errors.ts';
import { parseScenario, type Scenario } from './scenario.ts';

const folder = join(import.meta.dirname, 'shipped');
/** For editors; made of the schema, and kept equal to it by a test. */
export const schemaFile = join(import.meta.dirname, 'scenario.schema.json');

export interface ShippedScenario {
  readonly file: string;
  readonly rulesFile: string;
  readonly scenario: Scenario;
}

/** By name. */
export function shippedScenarios(): ShippedScenario[] {
  const names = readdirSync(folder)
    .filter((file) => file.endsWith('.yaml') && !file.endsWith('.rules.yaml'))
    .map((file) => basename(file, '.yaml'));
  return names.sort().map(shippedScenario);
}

/** Throws CONFIG_INVALID when there is none of that name. */
export function shippedScenario(name: string): ShippedScenario {
  const file = join(folder, `${name}.yaml`);
  if (!/^[a-z0-9-]+$/.test(name) || !existsSync(file)) {
    const names = shippedScenarios().map(({ scenario }) => scenario.name);
    const there = `there are ${names.join(', ')}; a file of your own is given with -f`;
    throw new SluiceError('CONFIG_INVALID', `no scenario is named ${JSON.stringify(name)}: ${there}`);
  }
  return { file, rulesFile: join(folder, `${name}.rules.yaml`), scenario: readScenario(file) };
}

/** Throws CONFIG_INVALID when the file cannot be read, or for all that is wrong in it. */
export function readScenario(file: string): Scenario {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw new SluiceError('CONFIG_INVALID', `${file} cannot be read: ${messageOf(error)}`);
  }
  return parseScenario(text, file);
}
