import { expect, it } from 'vitest';
import type { Store } from '../../../store/port.ts';
import { always, baseUs, freshField, freshSite, point, rollup, series, telemetry } from './harness.ts';

/** Text that means something to some parser between us and the disk. */
const nastyTexts = [
  'with space',
  'comma,comma',
  'equals=equals',
  'double"quote',
  "single'quote",
  "' OR 'a'='a",
  '"; DROP MEASUREMENT telemetry --',
  'back\\slash',
  '\\n in letters',
  '#hash',
  '$dollar %41 {brace}',
  'ünïcödé 温度 😀',
  ' leading and trailing ',
  '\u2028line separator',
];

export function writing(store: () => Store): void {
  const stored = (site: string, device: string) => store().readings(site, device, always.fromMs, always.toMs);

  it('has every point when the write resolves', async () => {
    const site = freshSite();
    const points = [0, 1, 2].map((i) => point(telemetry(site, 'd'), baseUs + i, { temperature: 20 + i }));
    expect(await store().write(points)).toEqual([]);
    expect(await stored(site, 'd')).toEqual(points.map(({ timeUs, k, fields }) => ({ timeUs, k, fields })));
  });

  it('takes an empty write', async () => {
    expect(await store().write([])).toEqual([]);
  });

  it('stores a point once however often it is written', async () => {
    const site = freshSite();
    const points = [point(telemetry(site, 'd'), baseUs, { temperature: 1, humidity: 2 })];
    await store().write(points);
    await store().write([...points, ...points]);
    expect(await stored(site, 'd')).toEqual([{ timeUs: baseUs, k: 0, fields: { temperature: 1, humidity: 2 } }]);
  });

  it('keeps points of one time apart by k, from 0 to 999', async () => {
    const site = freshSite();
    const ks = [0, 1, 42, 999];
    await store().write(ks.map((k) => point(telemetry(site, 'd'), baseUs, { temperature: k }, k)));
    expect(await stored(site, 'd')).toEqual(ks.map((k) => ({ timeUs: baseUs, k, fields: { temperature: k } })));
  });

  it('joins the fields of a point that is written again, the last write of each wins', async () => {
    const site = freshSite();
    const at = telemetry(site, 'd');
    await store().write([point(at, baseUs, { temperature: 1, humidity: 2 })]);
    await store().write([point(at, baseUs, { humidity: 3, pressure: 4 })]);
    await store().write([point(at, baseUs, { pressure: 5 }), point(at, baseUs, { pressure: 6 })]);
    expect(await stored(site, 'd')).toEqual([
      { timeUs: baseUs, k: 0, fields: { temperature: 1, humidity: 3, pressure: 6 } },
    ]);
  });

  it('keeps numbers exactly, whole ones as floats', async () => {
    const site = freshSite();
    const field = freshField();
    const numbers = [7, 7.5, -3, 0, 0.1 + 0.2, 1e21, 1e-7, Number.MAX_VALUE, 5e-324, 2 ** 53, -1.5e300];
    const points = numbers.map((value, i) => point(telemetry(site, 'd'), baseUs + i, { [field]: value }));
    expect(await store().write(points)).toEqual([]);
    expect((await stored(site, 'd')).map(({ fields }) => fields[field])).toEqual(numbers);
  });

  it('keeps booleans and strings exactly', async () => {
    const site = freshSite();
    const text = freshField();
    const flag = freshField();
    const texts = [...nastyTexts, '', 'two\nlines', 'crlf\r\n', 'tab\t', 'ends in \\', '\\"', 'nul\u0000', 'true', '1'];
    const points = texts.map((value, i) =>
      point(telemetry(site, 'd'), baseUs + i, { [text]: value, [flag]: i % 2 === 0 }),
    );
    expect(await store().write(points)).toEqual([]);
    expect(await stored(site, 'd')).toEqual(points.map(({ timeUs, k, fields }) => ({ timeUs, k, fields })));
  });

  it('keeps sites and devices apart whatever their names', async () => {
    const field = freshField();
    const points = nastyTexts.flatMap((site, i) =>
      nastyTexts.map((device, j) => point(telemetry(site, device), baseUs, { [field]: i * 100 + j })),
    );
    expect(await store().write(points)).toEqual([]);
    for (const [i, site] of nastyTexts.entries()) {
      const device = nastyTexts[(i * 5 + 3) % nastyTexts.length]!;
      const [only, ...others] = await store().history({ site, device, field, ...always, limit: 10 });
      expect(only?.value).toBe(i * 100 + nastyTexts.indexOf(device));
      expect(others).toEqual([]);
    }
  });

  it('takes field names as they come, also those of its own tags', async () => {
    const site = freshSite();
    const names = [...nastyTexts.map((text) => `f ${text}`), 'value', 'name', 'select', '_value', '1'];
    const fields = Object.fromEntries(names.map((name, i) => [name, i]));
    const shadows = { site: 'elsewhere', device: 'another' };
    expect(await store().write([point(telemetry(site, 'd'), baseUs, { ...fields, ...shadows })])).toEqual([]);
    expect(await stored(site, 'd')).toEqual([{ timeUs: baseUs, k: 0, fields: { ...fields, ...shadows } }]);
    for (const [i, field] of names.entries()) {
      const found = await store().history({ site, device: 'd', field, ...always, limit: 10 });
      expect(found, field).toEqual([{ timeMs: baseUs / 1000, value: i }]);
    }
  });

  it('keeps times around and before the epoch, with their k', async () => {
    const site = freshSite();
    const times = [-1_000_000_000_000, -5, -1, 0, 5, 1_000_000, 7_258_118_400_000_000];
    const points = times.flatMap((timeUs) =>
      [0, 5, 999].map((k) => point(telemetry(site, 'd'), timeUs, { temperature: 1 }, k)),
    );
    expect(await store().write(points)).toEqual([]);
    expect(await stored(site, 'd')).toEqual(points.map(({ timeUs, k, fields }) => ({ timeUs, k, fields })));
  });

  it('puts the points of one write where each belongs', async () => {
    const site = freshSite();
    const minute = { count: 2, mean: 1.5, final: true };
    await store().write([
      point(rollup('1m', site, 'd', 'temperature'), baseUs, minute),
      point(telemetry(site, 'd'), baseUs, { temperature: 1 }),
      point(series('raw', 'alerts', { site, device: 'd', rule: 'r', severity: 'warning' }), baseUs, { value: 9 }),
    ]);
    expect(await stored(site, 'd')).toEqual([{ timeUs: baseUs, k: 0, fields: { temperature: 1 } }]);
    const query = { site, device: 'd', field: 'temperature', ...always, limit: 10 };
    expect(await store().rollups(query, '1m')).toEqual([{ timeMs: baseUs / 1000, fields: minute }]);
  });

  it('takes 20,000 points of one device in one write, and gives them all back in order', async () => {
    const site = freshSite();
    const at = telemetry(site, 'd');
    const points = Array.from({ length: 20_000 }, (_, i) => point(at, baseUs + i, { temperature: i }));
    expect(await store().write(points)).toEqual([]);
    const readings = await stored(site, 'd');
    expect(readings.map(({ fields }) => fields.temperature)).toEqual(points.map((_, i) => i));
  });

  it('takes writes at the same time', async () => {
    const site = freshSite();
    const devices = Array.from({ length: 20 }, (_, i) => `d${i}`);
    const writes = devices.map((device) =>
      store().write([0, 1, 2].map((i) => point(telemetry(site, device), baseUs + i, { temperature: i }))),
    );
    expect(await Promise.all(writes)).toEqual(devices.map(() => []));
    for (const device of devices) expect(await stored(site, device)).toHaveLength(3);
  });
}
