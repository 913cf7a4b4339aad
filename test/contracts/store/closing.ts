import { afterAll, beforeAll, expect, it } from 'vitest';
import { StoreUnavailableError } from '../../../core/errors.ts';
import {
  always,
  baseUs,
  forEver,
  freshSite,
  type MakeStore,
  point,
  type StoreUnderTest,
  telemetry,
} from './harness.ts';

export function closing(make: MakeStore): void {
  let underTest: StoreUnderTest;
  beforeAll(async () => {
    underTest = await make(forEver);
  });
  afterAll(() => underTest?.dispose());

  it('waits for writes under way, and takes no more', async () => {
    const store = await underTest.reopen();
    const site = freshSite();
    const points = Array.from({ length: 5000 }, (_, i) => point(telemetry(site, `d${i % 50}`), baseUs + i, { t: i }));
    const order: string[] = [];
    const written = store.write(points).then(() => order.push('written'));
    const closed = store.close().then(() => order.push('closed'));
    const late = store.write(points);
    await expect(late).rejects.toThrow(StoreUnavailableError);
    await Promise.all([written, closed]);
    expect(order).toEqual(['written', 'closed']);

    const again = await underTest.reopen();
    expect(await again.readings(site, 'd7', always.fromMs, always.toMs)).toHaveLength(100);
    await again.close();
  });

  it('starts and closes as often as it is told', async () => {
    const store = await underTest.reopen();
    await Promise.all([store.start(), store.start()]);
    await Promise.all([store.close(), store.close()]);
    await store.close();
    await expect(store.write([point(telemetry('s', 'd'), baseUs, { t: 1 })])).rejects.toThrow(StoreUnavailableError);
  });
}
