/**
 * The stages against the oracle (`test/support/oracle/`), event by event: raw points, late ones, duplicates, dead letters,
 * alerts, and every emission of every window. The long form: `npm run oracle`, or `SLUICE_ORACLE_SEEDS=2000` with
 * `SLUICE_ORACLE_FIRST` for others than those from 1 on.
 */
import { expect, test } from 'vitest';
import { type Case, drawCase } from '../support/oracle/stream.ts';
import { firstDifference, shrunk } from './oracle-subject.ts';

const seeds = Number(process.env.SLUICE_ORACLE_SEEDS ?? 100);
const first = Number(process.env.SLUICE_ORACLE_FIRST ?? 1);
const perTest = 50;

test.each(
  Array.from({ length: Math.ceil(seeds / perTest) }, (_, n) => [
    first + n * perTest,
    Math.min(perTest, seeds - n * perTest),
  ]),
)('what comes out is what the oracle says, seeds from %i, %i of them', { timeout: 120_000 }, (from, count) => {
  for (let seed = from; seed < from + count; seed++) isAsTheOracleSays(drawCase(seed));
});

function isAsTheOracleSays(drawn: Case): void {
  if (firstDifference(drawn) === null) return;
  expect.fail(shrunk(drawn));
}
