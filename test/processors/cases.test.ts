/**
 * Golden cases: each folder of `test/cases/` holds an input and every line that comes out of it, through the same code as
 * `sluice process`. After a change that is meant: `SLUICE_UPDATE_CASES=1 npx vitest run test/processors/cases.test.ts`,
 * then read the difference.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { resolveConfig } from '../../core/config.ts';
import { replay } from '../../processors/replay.ts';
import { parseRules } from '../../processors/rules/file.ts';

const cases = new URL('../cases/', import.meta.url);

test.each(readdirSync(cases))('%s', async (name) => {
  const folder = new URL(`${name}/`, cases);
  const read = (file: string) => {
    const path = new URL(file, folder);
    return existsSync(path) ? readFileSync(path, 'utf8') : null;
  };
  const content: unknown = parse(read('config.yaml') ?? '') ?? {};
  const { processing, windows } = resolveConfig({
    file: { name: 'config.yaml', content },
    env: {},
    flags: {},
    readText: () => '',
  });
  const rules = parseRules(read('rules.yaml') ?? '', 'rules.yaml');
  const lines = read('input.ndjson')!.split('\n');
  const output = (await Array.fromAsync(replay(lines, { ...processing, windows }, rules, { flush: true }))).join('\n');
  if (process.env.SLUICE_UPDATE_CASES === '1') writeFileSync(new URL('expected.ndjson', folder), `${output}\n`);
  expect(`${output}\n`).toBe(read('expected.ndjson'));
});
