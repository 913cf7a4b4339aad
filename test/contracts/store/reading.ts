import { expect, it } from 'vitest';
import type { Store } from '../../../store/port.ts';
import { always, baseUs, freshField, freshSite, point, rollup, series, telemetry } from './harness.ts';

const baseMs = baseUs / 1000;

export function reading(store: () => Store): void {
  it('gives the newest points of a range, oldest first', async () => {
    const site = freshSite();
    const at = telemetry(site, 'd');
    const minutes = Array.from({ length: 10 }, (_, i) => i);
    await store().write(minutes.map((i) => point(at, baseUs + i * 60_000_000, { temperature: i })));
    const query = { site, device: 'd', field: 'temperature', fromMs: baseMs, toMs: baseMs + 8 * 60_000, limit: 3 };
    expect(await store().history(query)).toEqual([5, 6, 7].map((i) => ({ timeMs: baseMs + i * 60_000, value: i })));
  });

  it('takes the start of a range in and leaves its end out', async () => {
    const site = freshSite();
    const at = telemetry(site, 'd');
    await store().write([-1, 0, 999, 1000, 1001].map((us) => point(at, baseUs + us, { temperature: us })));
    const query = { site, device: 'd', field: 'temperature', fromMs: baseMs, toMs: baseMs + 1, limit: 10 };
    expect((await store().history(query)).map(({ value }) => value)).toEqual([0, 999]);
    const readings = await store().readings(site, 'd', baseMs, baseMs + 1);
    expect(readings.map(({ timeUs }) => timeUs - baseUs)).toEqual([0, 999]);
  });

  it('gives fractions of a millisecond', async () => {
    const site = freshSite();
    await store().write([point(telemetry(site, 'd'), baseUs + 250, { temperature: 1 })]);
    const query = { site, device: 'd', field: 'temperature', ...always, limit: 10 };
    expect(await store().history(query)).toEqual([{ timeMs: baseMs + 0.25, value: 1 }]);
  });

  it('passes over points without the field', async () => {
    const site = freshSite();
    const [often, seldom] = [freshField(), freshField()];
    const points = Array.from({ length: 100 }, (_, i) =>
      point(telemetry(site, 'd'), baseUs + i, i % 50 === 0 ? { [seldom]: `${i}` } : { [often]: i }),
    );
    await store().write(points);
    const found = await store().history({ site, device: 'd', field: seldom, ...always, limit: 2 });
    expect(found.map(({ value }) => value)).toEqual(['0', '50']);
  });

  it('gives nothing for what it has never heard of', async () => {
    const nowhere = { site: freshSite(), device: 'd', field: 'temperature', ...always, limit: 10 };
    expect(await store().history(nowhere)).toEqual([]);
    expect(await store().rollups(nowhere, '1h')).toEqual([]);
    expect(await store().readings(nowhere.site, 'd', always.fromMs, always.toMs)).toEqual([]);
    const known = freshSite();
    await store().write([point(telemetry(known, 'd'), baseUs, { temperature: 1 })]);
    expect(await store().history({ ...nowhere, site: known, field: freshField() })).toEqual([]);
  });

  it('gives rollups with all their fields, minutes, hours and days apart', async () => {
    const site = freshSite();
    const window = (count: number) => ({ count, mean: count / 3, revision: 0, final: count % 2 === 0 });
    const minute = rollup('1m', site, 'd', 'temperature');
    await store().write([
      ...[1, 2, 3].map((i) => point(minute, baseUs + i * 60_000_000, window(i))),
      point(rollup('1h', site, 'd', 'temperature'), baseUs, window(60)),
      point(rollup('1d', site, 'd', 'temperature'), baseUs, window(1440)),
      point(rollup('1m', site, 'd', 'humidity'), baseUs, window(99)),
    ]);
    await store().write([point(minute, baseUs + 3 * 60_000_000, { ...window(4), revision: 1 })]);
    const query = { site, device: 'd', field: 'temperature', ...always, limit: 2 };
    expect(await store().rollups(query, '1m')).toEqual([
      { timeMs: baseMs + 120_000, fields: window(2) },
      { timeMs: baseMs + 180_000, fields: { ...window(4), revision: 1 } },
    ]);
    expect(await store().rollups(query, '1h')).toEqual([{ timeMs: baseMs, fields: window(60) }]);
    expect(await store().rollups(query, '1d')).toEqual([{ timeMs: baseMs, fields: window(1440) }]);
  });

  it('gives the windows of one device, of one measurement, with their tags', async () => {
    const site = freshSite();
    const state = (of: string) => series('rollup', 'state_1m', { site, device: 'd', field: 'door', state: of });
    const states = [point(state('true'), baseUs, { durationMs: 1 }), point(state('false'), baseUs, { durationMs: 2 })];
    const minutes = ['a', 'b'].flatMap((field) =>
      Array.from({ length: 1500 }, (_, i) =>
        point(rollup('1m', site, 'd', field), baseUs + i * 60_000_000, { count: i }),
      ),
    );
    const others = [
      point(rollup('1m', site, 'd2', 'a'), baseUs, { count: 9 }),
      point(rollup('1m', `${site}x`, 'd', 'a'), baseUs, { count: 9 }),
      point(rollup('1h', site, 'd', 'a'), baseUs, { count: 9 }),
    ];
    await store().write([...states, ...minutes, ...others]);
    const query = { site, device: 'd', fromMs: baseMs, toMs: baseMs + 1499 * 60_000 };

    const found = await store().windows({ ...query, measurement: 'rollup_1m' });
    expect(found).toHaveLength(2 * 1499);
    expect(found.map(({ timeUs }) => timeUs)).toEqual(found.map(({ timeUs }) => timeUs).sort((a, b) => a - b));
    expect(new Set(found.map(({ tags, timeUs }) => `${tags.field} ${timeUs}`)).size).toBe(2 * 1499);
    for (const { tags, timeUs, fields } of found) {
      expect({ ...tags, ...fields }).toEqual({
        site,
        device: 'd',
        field: tags.field,
        count: (timeUs - baseUs) / 60_000_000,
      });
    }
    const ofOne = await store().windows({ ...query, measurement: 'rollup_1m', field: 'b', toMs: baseMs + 60_000 });
    expect(ofOne).toEqual([{ timeUs: baseUs, tags: { site, device: 'd', field: 'b' }, fields: { count: 0 } }]);
    const ofStates = await store().windows({ ...query, measurement: 'state_1m' });
    expect(ofStates.map(({ tags, fields }) => [tags.state, fields.durationMs]).sort()).toEqual([
      ['false', 2],
      ['true', 1],
    ]);
    const newest = await store().windows({ ...query, measurement: 'rollup_1m', limit: 2 });
    expect(newest).toEqual((await store().windows({ ...query, measurement: 'rollup_1m' })).slice(-2));
    expect(await store().windows({ ...query, measurement: 'never_written' })).toEqual([]);
  });

  it('gives the newest value of each field per device, newest device first', async () => {
    const site = freshSite();
    // Later than anything else in the suite, so that other tests' devices are out of the way.
    const at = (seconds: number) => 8_000_000_000_000_000 + seconds * 1_000_000;
    const [a, b, c] = ['a', 'b', 'c'].map((device) => telemetry(site, device)) as [
      ReturnType<typeof telemetry>,
      ReturnType<typeof telemetry>,
      ReturnType<typeof telemetry>,
    ];
    const flag = freshField();
    await store().write([
      point(a, at(10), { temperature: 1, humidity: 2 }),
      point(a, at(20), { temperature: 3 }),
      point(b, at(30), { temperature: 4, [flag]: true }),
      point(c, at(-5), { temperature: 5 }),
    ]);
    // What arrives late is not what is newest.
    await store().write([point(a, at(15), { temperature: 0, humidity: 6 })]);
    const newestA = { site, device: 'a', timeMs: at(20) / 1000, fields: { temperature: 3, humidity: 6 } };
    const newestB = { site, device: 'b', timeMs: at(30) / 1000, fields: { temperature: 4, [flag]: true } };
    expect(await store().newest(at(0) / 1000, 10)).toEqual([newestB, newestA]);
    expect(await store().newest(at(0) / 1000, 1)).toEqual([newestB]);
    expect(await store().newest(at(31) / 1000, 10)).toEqual([]);
  });

  it('tells the newest of 10,000 devices within seconds', async () => {
    const site = freshSite();
    const sinceUs = 8_500_000_000_000_000;
    const points = Array.from({ length: 10_000 }, (_, i) =>
      point(telemetry(site, `d${i}`), sinceUs + i, { temperature: i, humidity: -i }),
    );
    await store().write(points);
    const started = performance.now();
    const newest = await store().newest(sinceUs / 1000, 20_000);
    expect(performance.now() - started).toBeLessThan(5000);
    expect(newest).toHaveLength(10_000);
    expect(newest[0]).toMatchObject({ device: 'd9999', fields: { temperature: 9999, humidity: -9999 } });
  });

  it('answers a ping', async () => {
    await store().ping();
  });

  it('has nothing left to set up the second time', async () => {
    expect(await store().setup()).toEqual([]);
  });
}
