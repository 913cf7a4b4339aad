import { expect, it } from 'vitest';
import type { Point, Store } from '../../../store/port.ts';
import { always, baseUs, freshField, freshSite, point, rollup, telemetry } from './harness.ts';

export function refusing(store: () => Store): void {
  const stored = (site: string, device: string) => store().readings(site, device, always.fromMs, always.toMs);

  it('names exactly the points whose field has another type, and stores all others', async () => {
    const site = freshSite();
    const field = freshField();
    const at = telemetry(site, 'd');
    await store().write([point(at, baseUs - 1, { [field]: 1 })]);
    const bad = new Set([0, 7, 8, 1000, 1999]);
    const points = Array.from({ length: 2000 }, (_, i) => point(at, baseUs + i, { [field]: bad.has(i) ? 'text' : i }));

    const refusals = await store().write(points);
    expect(refusals.map(({ index }) => index)).toEqual([...bad]);
    expect(new Set(refusals.map(({ reason }) => reason))).toEqual(new Set(['type_conflict']));
    expect(refusals[0]?.message).toContain(field);
    const values = (await stored(site, 'd')).map(({ fields }) => fields[field]);
    expect(values).toEqual([1, ...points.map((_, i) => i).filter((i) => !bad.has(i))]);
  });

  it('lets the first point of a write fix the type of a new field', async () => {
    const site = freshSite();
    const field = freshField();
    const at = telemetry(site, 'd');
    const refusals = await store().write([point(at, baseUs, { [field]: true }), point(at, baseUs + 1, { [field]: 1 })]);
    expect(refusals).toMatchObject([{ index: 1, reason: 'type_conflict' }]);
  });

  it('holds a type for all devices', async () => {
    const field = freshField();
    await store().write([point(telemetry(freshSite(), 'd'), baseUs, { [field]: 1 })]);
    const refusals = await store().write([point(telemetry(freshSite(), 'e'), baseUs, { [field]: '1' })]);
    expect(refusals).toMatchObject([{ index: 0, reason: 'type_conflict' }]);
  });

  it('stores nothing of a refused point', async () => {
    const site = freshSite();
    const [kept, other] = [freshField(), freshField()];
    const at = telemetry(site, 'd');
    await store().write([point(at, baseUs, { [kept]: 1 })]);
    const refusals = await store().write([point(at, baseUs + 1, { [other]: 2, [kept]: 'text' })]);
    expect(refusals).toMatchObject([{ index: 0, reason: 'type_conflict' }]);
    expect(await stored(site, 'd')).toEqual([{ timeUs: baseUs, k: 0, fields: { [kept]: 1 } }]);
  });

  it('refuses what cannot be stored at all, and nothing beside it', async () => {
    const site = freshSite();
    const good = telemetry(site, 'd');
    const named = (device: string) => point(telemetry(site, device), baseUs, { temperature: 1 });
    const withFields = (fields: Point['fields']) => point(good, baseUs, fields);
    const bad: [Point, string][] = [
      [withFields({ temperature: Number.NaN }), 'invalid_point'],
      [withFields({ temperature: Number.POSITIVE_INFINITY }), 'invalid_point'],
      [withFields({}), 'invalid_point'],
      [withFields({ time: 1, temperature: 2 }), 'invalid_point'],
      [withFields({ '': 1 }), 'invalid_point'],
      [withFields({ 'two\nlines': 1 }), 'invalid_point'],
      [withFields({ 'ends in \\': 1 }), 'invalid_point'],
      [withFields({ 'quote \\" in it': 1 }), 'invalid_point'],
      [withFields({ text: 'x'.repeat(1_048_577) }), 'too_large'],
      [withFields({ ['n'.repeat(70_000)]: 1 }), 'too_large'],
      [named(''), 'invalid_point'],
      [named('two\nlines'), 'invalid_point'],
      [named('ends in \\'), 'invalid_point'],
      [named('backslash \\, comma'), 'invalid_point'],
      [named('half a pair \ud83d'), 'invalid_point'],
      [named('d'.repeat(70_000)), 'too_large'],
      [point({ ...good, measurement: '#comment' }, baseUs, { temperature: 1 }), 'invalid_point'],
      [point({ ...good, tags: { ...good.tags, time: 'x' } }, baseUs, { temperature: 1 }), 'invalid_point'],
      [point(good, baseUs + 0.5, { temperature: 1 }), 'invalid_point'],
      [point(good, 2 ** 60, { temperature: 1 }), 'invalid_point'],
      [point(good, baseUs, { temperature: 1 }, 1000), 'invalid_point'],
      [point(good, baseUs, { temperature: 1 }, -1), 'invalid_point'],
    ];
    const points = bad.flatMap(([one], i) => [point(good, baseUs + 1 + i, { temperature: i }), one]);

    const refusals = await store().write(points);
    expect(refusals.map(({ index, reason }) => [index, reason])).toEqual(
      bad.map(([, reason], i) => [2 * i + 1, reason]),
    );
    expect(await stored(site, 'd')).toEqual(
      bad.map((_, i) => ({ timeUs: baseUs + 1 + i, k: 0, fields: { temperature: i } })),
    );
  });

  it('takes strings up to the limit', async () => {
    const site = freshSite();
    const field = freshField();
    const text = `é${'x'.repeat(1_048_574)}`;
    expect(await store().write([point(telemetry(site, 'd'), baseUs, { [field]: text })])).toEqual([]);
    expect((await stored(site, 'd'))[0]?.fields[field]).toBe(text);
  });

  it('counts refusals in the order of the write, whichever bucket they are for', async () => {
    const site = freshSite();
    const [raw, rolled] = [freshField(), freshField()];
    const at = telemetry(site, 'd');
    const window = rollup('1m', site, 'd', raw);
    await store().write([point(at, baseUs, { [raw]: 1 }), point(window, baseUs, { [rolled]: 1 })]);
    const refusals = await store().write([
      point(window, baseUs + 1, { [rolled]: 'text' }),
      point(at, baseUs + 1, { [raw]: 1 }),
      point(at, baseUs + 2, { [raw]: 'text' }),
      point(window, baseUs + 3, { [rolled]: Number.NaN }),
      point(window, baseUs + 4, { [rolled]: 4 }),
    ]);
    expect(refusals.map(({ index, reason }) => [index, reason])).toEqual([
      [0, 'type_conflict'],
      [2, 'type_conflict'],
      [3, 'invalid_point'],
    ]);
  });
}
