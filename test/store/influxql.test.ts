import { describe, expect, it } from 'vitest';
import { fieldsOf, identifier, parseAnswer, parseTime, tagEquals, timeLiteral } from '../../store/influx/influxql.ts';

describe('InfluxQL as text', () => {
  it('lets no name out of its quotes', () => {
    expect(identifier('a" OR "b')).toBe('"a\\" OR \\"b"');
    expect(identifier('ends in \\')).toBe('"ends in \\\\"');
    expect(tagEquals('site', "x' OR 'a'='a")).toBe("\"site\"::tag = 'x\\' OR \\'a\\'=\\'a'");
    expect(tagEquals('site', '\\')).toBe('"site"::tag = \'\\\\\'');
    expect(tagEquals('site', 'two\nlines')).toBe('"site"::tag = \'two\\nlines\'');
  });

  it('has times in microseconds, within what the server takes', () => {
    expect(timeLiteral(1.5)).toBe('1500u');
    expect(timeLiteral(Number.POSITIVE_INFINITY)).toBe(`${Number.MAX_SAFE_INTEGER}u`);
    expect(timeLiteral(-1e300)).toBe(`${Number.MIN_SAFE_INTEGER}u`);
  });
});

describe('an answer', () => {
  it('gives the series of each statement', () => {
    const series = [{ name: 'm', tags: { a: 'x' }, columns: ['time', 'v'], values: [['t', 1]] }];
    expect(parseAnswer({ results: [{ statement_id: 0, series }, { statement_id: 1 }] })).toEqual([
      [{ tags: { a: 'x' }, columns: ['time', 'v'], rows: [['t', 1]] }],
      [],
    ]);
  });

  it('with an error in it throws that error', () => {
    expect(() => parseAnswer({ error: 'parsing failed' })).toThrow('parsing failed');
    expect(() => parseAnswer({ results: [{ error: 'database not found: x' }] })).toThrow('database not found: x');
    expect(() => parseAnswer({})).toThrow('not that of an InfluxQL query');
  });

  it('has null where a point has no such field', () => {
    expect(fieldsOf(['time', 'last_a', 'last_b', 'last_c'], ['t', 0, null, false], 'last_')).toEqual({
      a: 0,
      c: false,
    });
  });
});

describe('a time of the server', () => {
  it.each([
    ['2023-11-14T22:13:20Z', 1_700_000_000_000_000, 0],
    ['2023-11-14T22:13:20.5Z', 1_700_000_000_500_000, 0],
    ['2023-11-14T22:13:20.000000001Z', 1_700_000_000_000_000, 1],
    ['2023-11-14T22:13:20.123456789Z', 1_700_000_000_123_456, 789],
    ['1969-12-31T23:59:59.999995003Z', -5, 3],
    ['1970-01-01T00:00:00Z', 0, 0],
  ])('%s is %d µs and %d ns', (text, timeUs, k) => {
    expect(parseTime(text)).toEqual({ timeUs, k });
  });

  it('that is none throws', () => {
    expect(() => parseTime('yesterday')).toThrow('not a time: yesterday');
  });
});
