import { describe, expect, it } from 'vitest';
import { LineEncoder, nanosecondText } from '../../store/line-protocol.ts';
import type { Point } from '../../store/port.ts';

const encode = (point: Partial<Point>) =>
  new LineEncoder().encode([
    { series: { bucket: 'raw', measurement: 'm', tags: { a: 'x' } }, fields: { v: 1 }, timeUs: 1, k: 0, ...point },
  ]);

describe('a line', () => {
  it('has its tags sorted by name and its fields as they come', () => {
    const series = { bucket: 'raw', measurement: 'm', tags: { site: 's', device: 'd' } } as const;
    expect(encode({ series, fields: { z: 1, a: 2 } })).toBe('m,device=d,site=s z=1,a=2 1000');
  });

  it('needs no tags', () => {
    expect(encode({ series: { bucket: 'raw', measurement: 'm', tags: {} } })).toBe('m v=1 1000');
  });

  it('escapes each part by its own rules', () => {
    const series = { bucket: 'raw', measurement: 'm, =', tags: { 'k, =': 'v, ="\\x' } } as const;
    expect(encode({ series, fields: { 'f, =': 's, ="\\' } })).toBe(
      'm\\,\\ =,k\\,\\ \\==v\\,\\ \\="\\x f\\,\\ \\=="s, =\\"\\\\" 1000',
    );
  });

  it('writes every number as a float', () => {
    expect(encode({ fields: { whole: 7, small: 1e-7, large: 1e21, negative: -0.5 } })).toBe(
      'm,a=x whole=7,small=1e-7,large=1e+21,negative=-0.5 1000',
    );
  });

  it('writes booleans and strings as such', () => {
    expect(encode({ fields: { yes: true, no: false, text: 'true', empty: '' } })).toBe(
      'm,a=x yes=true,no=false,text="true",empty="" 1000',
    );
  });

  it('is the same when its series and names are remembered', () => {
    const encoder = new LineEncoder();
    const point: Point = {
      series: { bucket: 'raw', measurement: 'm', tags: { a: 'x y' } },
      fields: { 'f g': 1 },
      timeUs: 1,
      k: 2,
    };
    expect(encoder.encode([point])).toBe('m,a=x\\ y f\\ g=1 1002');
    expect(encoder.encode([point, point])).toBe('m,a=x\\ y f\\ g=1 1002\nm,a=x\\ y f\\ g=1 1002');
  });

  it('takes any text, and as many lines as there are', () => {
    const text = '°C, μ and 🌡 '.repeat(1000);
    const one = encode({ fields: { text } });
    expect(one).toBe(`m,a=x text="${text}" 1000`);
    const series = { bucket: 'raw', measurement: 'm', tags: { a: 'x' } } as const;
    const many = Array.from({ length: 100 }, () => ({ series, fields: { text }, timeUs: 1, k: 0 }));
    expect(new LineEncoder().encode(many)).toBe(many.map(() => one).join('\n'));
  });
});

describe('a time in nanoseconds', () => {
  it.each([1, 999_999_999_999_999, 1_000_000_000_000_000, 1_795_504_438_214_007, Number.MAX_SAFE_INTEGER, -1])(
    'of %d µs is written in a line as such',
    (timeUs) => {
      for (const k of [0, 7, 42, 999]) {
        expect(encode({ timeUs, k })).toBe(`m,a=x v=1 ${BigInt(timeUs) * 1000n + BigInt(k)}`);
      }
    },
  );

  it.each([1, 999_999_999_999_999, 1_000_000_000_000_000, 1_795_504_438_214_007, Number.MAX_SAFE_INTEGER, -1])(
    'of %d µs is written in a line as such',
    (timeUs) => {
      for (const k of [0, 7, 42, 999]) {
        expect(encode({ timeUs, k })).toBe(`m,a=x v=1 ${BigInt(timeUs) * 1000n + BigInt(k)}`);
      }
    },
  );

  it.each([0, 1, 999, -1, -2, -999, -1000, 1_700_000_000_000_000, -1_700_000_000_000_000, Number.MAX_SAFE_INTEGER])(
    'of %d µs is exact for every k',
    (timeUs) => {
      for (let k = 0; k < 1000; k += 1) {
        expect(BigInt(nanosecondText(timeUs, k))).toBe(BigInt(timeUs) * 1000n + BigInt(k));
      }
    },
  );
});
