/** What every adapter of the store port must keep: `store/port.ts`, as tests. */
import { afterAll, beforeAll, describe } from 'vitest';
import type { Store } from '../../store/port.ts';
import { closing } from './store/closing.ts';
import { forEver, type MakeStore, type StoreUnderTest } from './store/harness.ts';
import { reading } from './store/reading.ts';
import { refusing } from './store/refusing.ts';
import { retaining } from './store/retaining.ts';
import { writing } from './store/writing.ts';

export function storeContract(name: string, make: MakeStore): void {
  describe(`${name}, as a store`, () => {
    let underTest: StoreUnderTest;
    beforeAll(async () => {
      underTest = await make(forEver);
    });
    afterAll(() => underTest?.dispose());
    const store = (): Store => underTest.store;

    describe('writing', () => writing(store));
    describe('refusing', () => refusing(store));
    describe('reading', () => reading(store));
    describe('retention', () => retaining(make));
    describe('closing', () => closing(make));
  });
}
