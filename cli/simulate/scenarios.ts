/** The shipped scenarios, and checking one's own. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { messageOf, SluiceError } from '../../core/errors.ts';
import { ratePerSecond } from '../../simulator/scenario/resize.ts';
import { readScenario, schemaFile, shippedScenario, shippedScenarios } from '../../simulator/scenario/shipped.ts';

export function listScenarios({ json = false }: { json?: boolean }): void {
  const list = shippedScenarios().map(({ file, rulesFile, scenario: { name, description, fleets, faults } }) => ({
    name,
    description,
    devices: fleets.reduce((total, { count }) => total + count, 0),
    messagesPerSecond: Math.round(ratePerSecond(fleets) * 10) / 10,
    faults: faults.length,
    file,
    rulesFile,
  }));
  if (json) {
    console.log(JSON.stringify(list, null, 2));
    return;
  }
  const rows = [
    ['scenario', 'devices', 'msg/s', 'what happens'],
    ...list.map(({ name, devices, messagesPerSecond, description }) => [
      name,
      String(devices),
      String(messagesPerSecond),
      description,
    ]),
  ];
  const widths = [0, 1, 2].map((column) => Math.max(...rows.map((row) => row[column]!.length)) + 2);
  for (const row of rows) console.log(row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(''));
}

/** Copies a shipped scenario to `target`, and its rules beside it. Throws CONFIG_INVALID rather than write over a file. */
export function initScenario(name: string, target: string | undefined, { force = false }: { force?: boolean }): void {
  const { file, rulesFile } = shippedScenario(name);
  const scenarioTarget = target ?? `${name}.yaml`;
  const rulesTarget = `${scenarioTarget.replace(/\.ya?ml$/, '')}.rules.yaml`;
  const there = [scenarioTarget, rulesTarget].filter((path) => existsSync(path));
  if (there.length > 0 && !force) {
    throw new SluiceError('CONFIG_INVALID', `${there.join(' and ')} exists already: --force writes over it`);
  }
  // The copy is not beside the schema any more.
  const text = readFileSync(file, 'utf8').replace(/^(# yaml-language-server: \$schema=).*$/m, `$1${schemaFile}`);
  try {
    mkdirSync(dirname(scenarioTarget), { recursive: true });
    writeFileSync(scenarioTarget, text);
    writeFileSync(rulesTarget, readFileSync(rulesFile));
  } catch (error) {
    throw new SluiceError('CONFIG_INVALID', `the scenario cannot be written: ${messageOf(error)}`);
  }
  console.log(`${scenarioTarget}   try it: sluice simulate -f ${scenarioTarget}`);
  console.log(`${rulesTarget}   its alert rules: sluice start --rules ${rulesTarget}`);
}

/** Checks all of them. Throws CONFIG_INVALID that lists every error of every file. */
export function validateScenarios(files: readonly string[]): void {
  const errors: string[] = [];
  for (const file of files) {
    try {
      const { name, fleets, faults } = readScenario(file);
      const devices = fleets.reduce((total, { count }) => total + count, 0);
      console.log(`${file}: ${name}, ${devices} devices, ${faults.length} faults`);
    } catch (error) {
      if (!(error instanceof SluiceError)) throw error;
      errors.push(error.message);
    }
  }
  if (errors.length > 0) throw new SluiceError('CONFIG_INVALID', errors.join('\n'));
}
