import { describe, expect, it } from 'vitest';
import type { Point } from '../../store/port.ts';
import { PointValidator } from '../../store/validity.ts';

const good: Point = {
  series: { bucket: 'raw', measurement: 'telemetry', tags: { site: 'lab', device: 'd1' } },
  fields: { temperature: 21.5 },
  timeUs: 1_700_000_000_000_000,
  k: 0,
};

describe('the validity of a point', () => {
  it('is the same at the second look', () => {
    const validator = new PointValidator();
    const series = { ...good.series, tags: { site: '' } };
    for (let look = 0; look < 2; look += 1) {
      expect(validator.fault(good)).toBeNull();
      expect(validator.fault({ ...good, series })?.message).toBe('tag site is empty');
      expect(validator.fault({ ...good, fields: { time: 1 } })?.reason).toBe('invalid_point');
    }
  });

  it('names what is wrong', () => {
    const message = (point: Partial<Point>) => new PointValidator().fault({ ...good, ...point })?.message;
    expect(message({ fields: { temperature: Number.NaN } })).toBe('field temperature is NaN');
    expect(message({ fields: { 'a\nb': 1 } })).toBe('field name "a\\nb" cannot be expressed in line protocol');
    expect(message({ k: 1000 })).toBe('k 1000 is not in 0..999');
    expect(message({ timeUs: 0.5 })).toBe('time 0.5 µs is not a safe integer');
    expect(message({ fields: {} })).toBe('a point needs at least one field');
  });

  it('looks at every field', () => {
    const fields = { a: 1, b: 'text', c: Number.NEGATIVE_INFINITY };
    expect(new PointValidator().fault({ ...good, fields })?.message).toBe('field c is -Infinity');
  });

  it('counts bytes, not letters', () => {
    const fault = (text: string) => new PointValidator().fault({ ...good, fields: { text } });
    expect(fault('x'.repeat(1_048_576))).toBeNull();
    expect(fault('é'.repeat(524_288))).toBeNull();
    expect(fault('é'.repeat(524_289))?.reason).toBe('too_large');
  });
});
