/** Faults as they are written: defaults, units, and what is refused. */
import { expect, test } from 'vitest';
import { z } from 'zod';
import { faultNames, faultSpec, parseShortFaults } from '../../simulator/faults/spec.ts';

const problemsOf = (spec: object) =>
  faultSpec.safeParse(spec).error?.issues.map(({ path, message }) => [...path, message].join(': '));

test('durations and parts come with units', () => {
  expect(faultSpec.parse({ fault: 'network.delay', by: '2m', probability: '0.5%', at: '1h', for: 5000 })).toEqual({
    fault: 'network.delay',
    by: 120_000,
    probability: 0.005,
    at: 3_600_000,
    for: 5000,
  });
  expect(faultSpec.parse({ fault: 'clock.jump', by: '-10m' })).toMatchObject({ by: -600_000 });
  expect(faultSpec.parse({ fault: 'sensor.spike' })).toEqual({
    fault: 'sensor.spike',
    at: 0,
    probability: 1,
    height: 50,
  });
});

test.each([
  [{ fault: 'sensor.melt' }, ['fault: expected the name of a fault, see docs/faults.md']],
  [{ fault: 'network.loss', probability: '101%' }, [expect.stringContaining('probability: expected a part')]],
  [{ fault: 'network.loss', probability: 1.5 }, [expect.stringContaining('probability: expected a part')]],
  [{ fault: 'network.loss', height: 3 }, [expect.stringContaining('height')]],
  [{ fault: 'network.dropout' }, [expect.stringContaining('for: ')]],
  [{ fault: 'network.dropout', for: '10s', every: '5s' }, [expect.stringContaining('every: expected a `for`')]],
  [{ fault: 'sensor.stuck', every: '5s' }, [expect.stringContaining('every: expected a `for`')]],
  [{ fault: 'sensor.clipping' }, ['expected a min, a max or both']],
  [{ fault: 'security.foreign_topic', topic: 'a/#' }, [expect.stringContaining('without + and #')]],
  [{ fault: 'security.foreign_topic', topic: 'iot/a/{device}/telemetry' }, [expect.stringContaining('no route for')]],
  [{ fault: 'clock.jump', by: 'soon' }, [expect.stringContaining('by: expected milliseconds')]],
])('%j is refused', (spec, problems) => {
  expect(problemsOf(spec)).toEqual(problems);
});

test('a storm comes again without lasting', () => {
  expect(problemsOf({ fault: 'network.reconnect_storm', at: '1m', every: '1m' })).toBeUndefined();
});

test('the short form', () => {
  const { faults, problems } = parseShortFaults('drop=1%, dup=2%,ooo=5%,sensor.spike=0.5%,truncated=1%');
  expect(problems).toEqual([]);
  expect(faults.map(({ fault, ...rest }) => [fault, 'probability' in rest && rest.probability])).toEqual([
    ['network.loss', 0.01],
    ['network.duplicate', 0.02],
    ['network.reorder', 0.05],
    ['sensor.spike', 0.005],
    ['payload.truncated', 0.01],
  ]);
});

test('the short form tells of every problem', () => {
  expect(parseShortFaults('drop=2,melt=1%,dup,dropout=1%,clipping=1%').problems).toEqual([
    expect.stringContaining('drop: expected a part from 0% to 100%'),
    expect.stringContaining('"melt=1%": expected a fault'),
    expect.stringContaining('"dup": expected a fault'),
    expect.stringContaining('dropout: network.dropout needs more than a probability'),
    expect.stringContaining('clipping: sensor.clipping needs more than a probability'),
  ]);
});

test('there is a JSON Schema of it, for editors', () => {
  const schema = z.toJSONSchema(faultSpec, { io: 'input' });
  expect(schema.oneOf ?? schema.anyOf).toHaveLength(faultNames.length);
});
