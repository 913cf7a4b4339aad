/** A truth is read strictly: what is wrong with it is said with the line, and nothing is skipped. */
import { expect, test } from 'vitest';
import { readTruth } from '../../verify/truth-file.ts';
import { run, unrulyFleet } from './fleet.ts';

const [header, first, second, ...more] = unrulyFleet().lines() as [string, string, string, ...string[]];
const changed = (line: string, over: object) => JSON.stringify({ ...JSON.parse(line), ...over });
const read = (...lines: string[]) => readTruth(lines, 'truth.ndjson');

test('devices with their messages by rising n, in whatever order the lines come', async () => {
  const { run: told, devices } = await read(header, '', second, first, ...more);
  expect(told).toEqual(run);
  expect(devices.map(({ key }) => key).sort()).toEqual(['lab/numbered', 'lab/plain', 'lab/s1', 'lab/s2', 'lab/s3']);
  for (const { messages } of devices) expect(messages.map(({ n }) => n)).toEqual(messages.map((_, n) => n));
});

test.each<[what: string, lines: string[], message: string | RegExp]>([
  ['no line at all', [], 'truth.ndjson is empty: expected the run in the first line'],
  ['bad JSON', [header, first, 'nonsense'], /^truth\.ndjson:3 is not JSON: .*Was the simulator ended/],
  ['a torn last line', [header, first, second.slice(0, 100)], /^truth\.ndjson:3 is not JSON/],
  ['a message before the run', [first], /^truth\.ndjson:1 expected the run in the first line/],
  ['a second run', [header, first, header], /^truth\.ndjson:3 expected {"kind":"message"/],
  [
    'another version',
    [changed(header, { truthVersion: 2 })],
    'truth.ndjson:1 has truthVersion 2, this program reads version 1',
  ],
  ['no version', [changed(header, { truthVersion: undefined })], /^truth\.ndjson:1 has truthVersion undefined/],
  ['an unknown key', [header, changed(first, { colour: 'red' })], /^truth\.ndjson:2 .*"colour"/],
  ['an unknown key of the run', [changed(header, { colour: 'red' })], /^truth\.ndjson:1 .*"colour"/],
  ['an unknown expectation', [header, changed(first, { expect: { as: 'eaten' } })], /^truth\.ndjson:2 expect\.as: /],
  [
    'a dead letter without a known reason',
    [header, changed(first, { expect: { as: 'dead_letter', reason: 'bored' } })],
    /^truth\.ndjson:2 expect\.reason: /,
  ],
  ['a digest that is none', [header, changed(first, { digest: 'x' })], /^truth\.ndjson:2 digest: expected a SHA-256/],
  ['no reading to be stored', [header, changed(first, { reading: null })], /^truth\.ndjson:2 reading: expected what/],
  [
    'a field that is an object',
    [header, changed(first, { reading: { timeMs: 1, seq: 1, fields: { a: {} } } })],
    /^truth\.ndjson:2 reading\.fields: expected an object of numbers/,
  ],
  ['a number of a message twice', [header, first, second, first], /^truth\.ndjson tells of lab\/s1 n 0 twice$/],
  ['JSON that is no object', [header, '7'], /^truth\.ndjson:2 expected {"kind":"message"/],
  ['null', ['null'], /^truth\.ndjson:1 expected the run/],
])('%s is refused', async (_, lines, message) => {
  await expect(read(...lines)).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
    message: typeof message === 'string' ? message : expect.stringMatching(message),
  });
});
