import { afterAll, beforeAll, expect, it } from 'vitest';
import {
  freshField,
  freshSite,
  hourMs,
  type MakeStore,
  point,
  rollup,
  type StoreUnderTest,
  telemetry,
} from './harness.ts';

export function retaining(make: MakeStore): void {
  let underTest: StoreUnderTest;
  beforeAll(async () => {
    underTest = await make({ rawMs: hourMs, rollupMs: 48 * hourMs });
  });
  afterAll(() => underTest?.dispose());

  const ageUs = (ms: number) => (Date.now() - ms) * 1000;

  it('refuses what is older than its bucket keeps, and nothing else', async () => {
    const { store } = underTest;
    const site = freshSite();
    const field = freshField();
    const refusals = await store.write([
      point(telemetry(site, 'd'), ageUs(2 * hourMs), { [field]: 1 }),
      point(telemetry(site, 'd'), ageUs(hourMs / 2), { [field]: 2 }),
      point(rollup('1h', site, 'd', field), ageUs(2 * hourMs), { count: 3 }),
      point(rollup('1h', site, 'd', field), ageUs(50 * hourMs), { count: 4 }),
    ]);
    expect(refusals.map(({ index, reason }) => [index, reason])).toEqual([
      [0, 'beyond_retention'],
      [3, 'beyond_retention'],
    ]);
    expect(await store.readings(site, 'd', 0, Date.now())).toMatchObject([{ fields: { [field]: 2 } }]);
  });

  it('tells several reasons in one write apart', async () => {
    const { store } = underTest;
    const field = freshField();
    const at = telemetry(freshSite(), 'd');
    await store.write([point(at, ageUs(0), { [field]: 1 })]);
    const points = Array.from({ length: 500 }, (_, i) => {
      if (i % 100 === 3) return point(at, ageUs(2 * hourMs) + i, { [field]: i });
      if (i % 100 === 4) return point(at, ageUs(1000) + i, { [field]: 'text' });
      return point(at, ageUs(1000) + i, { [field]: i });
    });
    const refusals = await store.write(points);
    expect(refusals.map(({ index, reason }) => [index, reason])).toEqual(
      [0, 100, 200, 300, 400].flatMap((i) => [
        [i + 3, 'beyond_retention'],
        [i + 4, 'type_conflict'],
      ]),
    );
  });

  it('refuses a whole backlog that is too old', async () => {
    const at = telemetry(freshSite(), 'd');
    const old = ageUs(3 * hourMs);
    const points = Array.from({ length: 2000 }, (_, i) => point(at, old + i, { temperature: i }));
    const refusals = await underTest.store.write(points);
    expect(refusals.map(({ index }) => index)).toEqual(points.map((_, i) => i));
    expect(new Set(refusals.map(({ reason }) => reason))).toEqual(new Set(['beyond_retention']));
  });
}
