/** The shipped scenarios do what they say: every rule beside them fires within two minutes, for any seed. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parseRules } from '../../processors/rules/file.ts';
import { faultNames } from '../../simulator/faults/spec.ts';
import { scenarioJsonSchema } from '../../simulator/scenario/schema.ts';
import { schemaFile, shippedScenario, shippedScenarios } from '../../simulator/scenario/shipped.ts';
import { signalKinds } from '../../simulator/scenario/signal-schema.ts';
import { alertsOf, measured } from './dry-run.ts';

const names = ['chaos', 'cold-chain', 'fleet-gps', 'industrial-vibration', 'quickstart', 'smart-building'];
const rulesOf = (file: string) => parseRules(readFileSync(file, 'utf8'), file);

test('there are six, each named as its file', () => {
  expect(shippedScenarios().map(({ scenario }) => scenario.name)).toEqual(names);
  expect(() => shippedScenario('cold')).toThrow('there are chaos, cold-chain, fleet-gps');
  expect(() => shippedScenario('../shipped/chaos')).toThrow('no scenario is named');
});

describe.each(names)('%s', (name) => {
  const { scenario, rulesFile, file } = shippedScenario(name);

  test.each([scenario.seed, 2, 77])('every rule fires within two minutes, with seed %i', (seed) => {
    const rules = rulesOf(rulesFile);
    const alerts = alertsOf(measured(scenario.fleets, 120_000, seed), rules);
    const fired = alerts.filter(({ alert }) => alert.status === 'firing');
    expect(new Set(fired.map(({ alert }) => alert.rule))).toEqual(new Set(rules.map((rule) => rule.name)));
    expect(Math.min(...fired.map(({ second }) => second))).toBeLessThan(45);
  });

  test('most devices are well: not one in three has an alert in the first two minutes', () => {
    if (name === 'chaos') return;
    const fired = alertsOf(measured(scenario.fleets, 120_000), rulesOf(rulesFile));
    const devices = scenario.fleets.reduce((total, { count }) => total + count, 0);
    expect(new Set(fired.map(({ alert }) => alert.device)).size).toBeLessThan(devices / 3);
  });

  test('an editor finds the schema', () => {
    const [, path] = /^# yaml-language-server: \$schema=(.*)\n/.exec(readFileSync(file, 'utf8'))!;
    expect(join(file, '..', path!)).toBe(schemaFile);
  });
});

test('the JSON Schema is the one of the code (vitest -u writes it)', async () => {
  await expect(`${JSON.stringify(scenarioJsonSchema(), null, 2)}\n`).toMatchFileSnapshot(schemaFile);
});

test('quickstart has the rules of npm start, and its first alert after about 30 s, which resolves', () => {
  const { scenario, rulesFile } = shippedScenario('quickstart');
  expect(readFileSync(rulesFile, 'utf8')).toBe(readFileSync(join(import.meta.dirname, '../../rules.yaml'), 'utf8'));
  const ofFirst = alertsOf(measured(scenario.fleets, 90_000), rulesOf(rulesFile)).filter(
    ({ alert }) => alert.device === 'fridge-01' && alert.rule === 'too-warm',
  );
  expect(ofFirst.map(({ alert }) => alert.status)).toEqual(['pending', 'firing', 'resolved']);
  expect(ofFirst[1]!.second).toBeGreaterThan(25);
  expect(ofFirst[1]!.second).toBeLessThan(37);
  expect(ofFirst[2]!.second).toBeLessThan(60);
});

test('chaos has every fault there is', () => {
  const { faults } = shippedScenario('chaos').scenario;
  expect([...new Set(faults.map(({ fault }) => fault))].sort()).toEqual([...faultNames].sort());
});

test('docs/simulator.md knows every scenario with its rules, and every signal', () => {
  const docs = readFileSync(join(import.meta.dirname, '../../docs/simulator.md'), 'utf8');
  const row = (name: string) => docs.split('\n').find((line) => line.startsWith(`| \`${name}\` |`));
  for (const { scenario, rulesFile } of shippedScenarios()) {
    for (const { name } of rulesOf(rulesFile)) expect(row(scenario.name)).toContain(`\`${name}\``);
  }
  for (const kind of signalKinds) expect(row(kind), kind).toBeDefined();
});
