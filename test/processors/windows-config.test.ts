import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { resolveConfig } from '../../core/config.ts';

const ok = { name: 'w', type: 'tumbling', size: '5m', aggregates: ['count'] };

function resolve(windows: unknown) {
  return resolveConfig({ file: { name: 'sluice.yaml', content: { windows } }, env: {}, flags: {}, readText: () => '' });
}

/** The lines of the error, without the first. */
function problems(windows: unknown): string[] {
  try {
    resolve(windows);
    return [];
  } catch (error) {
    return (error as Error).message.split('\n  ').slice(1);
  }
}

test('without windows there are none; lengths are milliseconds afterwards, and can be read again', () => {
  expect(resolveConfig({ env: {}, flags: {}, readText: () => '' }).windows).toEqual([]);
  const { windows } = resolve([
    { name: 'energy_15m', type: 'tumbling', size: '15m', fields: ['energy*'], aggregates: ['increase', 'rate'] },
    { name: 'load', type: 'hopping', size: '1h', advance: '5m', aggregates: ['mean'] },
    { name: 'trip', type: 'session', gap: '90s', aggregates: ['count'] },
  ]);
  expect(windows).toEqual([
    { name: 'energy_15m', type: 'tumbling', size: 900_000, fields: ['energy*'], aggregates: ['increase', 'rate'] },
    { name: 'load', type: 'hopping', size: 3_600_000, advance: 300_000, fields: ['*'], aggregates: ['mean'] },
    { name: 'trip', type: 'session', gap: 90_000, fields: ['*'], aggregates: ['count'] },
  ]);
  expect(resolve(windows).windows).toEqual(windows);
});

test.each([
  ['1s', true],
  ['1d', true],
  ['36h', true],
  ['999ms', false],
  ['1500ms', false],
  ['2d', false],
  ['8785h', false],
])('a tumbling window of %s: %s', (size, good) => {
  expect(problems([{ ...ok, size }]).length).toBe(good ? 0 : 1);
});

test.each([
  ['1h', '7m', 'sluice.yaml: windows.0.advance: size must be a multiple of advance'],
  ['1h', '2s', 'sluice.yaml: windows.0.advance: size may be at most 1440 times advance: advance by more'],
  ['24h', '1h', 'sluice.yaml: windows.0.size: whole days follow the time zone and cannot hop'],
  ['1h', undefined, 'sluice.yaml: windows.0.advance: expected milliseconds or a text such as'],
])('a hopping window of %s that advances by %s is refused', (size, advance, message) => {
  const told = problems([{ ...ok, type: 'hopping', size, advance }]);
  expect(told).toHaveLength(1);
  expect(told[0]).toContain(message);
});

test('a hopping window may have 1,440 slices', () => {
  expect(problems([{ ...ok, type: 'hopping', size: '24m', advance: '1s' }])).toEqual([]);
});

test('names are measurements: of their own, and given once', () => {
  const taken = ['telemetry', 'alerts', 'rollup_5m', 'state_1m'];
  expect(problems(taken.map((name) => ({ ...ok, name })))).toEqual(
    taken.map(
      (name, i) =>
        `sluice.yaml: windows.${i}.name: ${name} is, or may become, a measurement of Sluice's own; take another name`,
    ),
  );
  expect(problems([{ ...ok, name: 'Energy 15m' }])).toEqual([
    'sluice.yaml: windows.0.name: expected a–z, 0–9 and _, a letter first, at most 64 characters',
  ]);
  expect(problems([ok, { ...ok, name: 'v' }, ok])).toEqual([
    'sluice.yaml: windows.2.name: windows.0 has the name w too; a name is a measurement, give each its own',
  ]);
});

test('every error comes at once, with its path and the fix', () => {
  const told = problems([
    { ...ok, gap: '5m' },
    { ...ok, name: 'x', aggregates: ['count', 'median'] },
    { ...ok, name: 'y', aggregates: [] },
    { ...ok, name: 'z', aggregates: ['count', 'count'] },
    { name: 's', type: 'session', gap: '25h', aggregates: ['count'] },
    { ...ok, name: 't', type: 'sliding' },
    { ...ok, name: 'u', fields: [] },
    'v',
  ]);
  expect(told).toEqual([
    'sluice.yaml: unknown key windows.0.gap; `sluice config --all` lists the keys there are',
    expect.stringContaining('sluice.yaml: windows.1.aggregates.1: expected one of count, sum, min,'),
    expect.stringContaining('sluice.yaml: windows.2.aggregates: give at least one of count, sum,'),
    'sluice.yaml: windows.3.aggregates: names an aggregate twice',
    'sluice.yaml: windows.4.gap: expected whole milliseconds, from 1ms to 1d: after a day a session is cut',
    expect.stringContaining('sluice.yaml: windows.5.type: expected { name, type: tumbling | hopping | session'),
    'sluice.yaml: windows.6.fields: give at least one field, or leave it out for all',
    expect.stringContaining('sluice.yaml: windows.7: expected { name, type: tumbling | hopping | session'),
  ]);
});

test('not a list, or too long a list', () => {
  expect(problems(null)).toEqual(['sluice.yaml: windows: expected a list of windows; docs/processing.md has examples']);
  const many = Array.from({ length: 17 }, (_, i) => ({ ...ok, name: `w${i}` }));
  expect(problems(many.slice(0, 16))).toEqual([]);
  expect(problems(many)).toEqual(['sluice.yaml: windows: at most 16 windows']);
});

test('the examples of the documentation are in order', () => {
  for (const page of ['processing.md', 'configuration.md']) {
    const text = readFileSync(new URL(`../../docs/${page}`, import.meta.url), 'utf8');
    const examples = [...text.matchAll(/^```yaml\n([^`]*)^```/gm)].map(
      ([, yaml]) => parse(yaml!) as { windows?: unknown },
    );
    const { windows } = examples.find((example) => example.windows !== undefined)!;
    expect(resolve(windows).windows.length).toBeGreaterThan(0);
  }
});
