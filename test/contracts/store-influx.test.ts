import { randomUUID } from 'node:crypto';
import { describe, inject } from 'vitest';
import { systemClock } from '../../core/clock.ts';
import { silentLogger } from '../../core/log.ts';
import { InfluxStore, type InfluxStoreOptions } from '../../store/influx.ts';
import { storeContract } from './store.ts';

const influx = inject('influx');

describe.skipIf(influx === null)('on a real InfluxDB', () => {
  storeContract('the InfluxDB store', async (retention) => {
    const name = randomUUID();
    const options: InfluxStoreOptions = {
      ...influx!,
      rawBucket: name,
      rollupBucket: `${name}_rollups`,
      retention,
      startTimeoutMs: 5000,
      clock: systemClock,
      log: silentLogger,
    };
    const stores: InfluxStore[] = [];
    const open = async () => {
      const store = new InfluxStore(options);
      stores.push(store);
      await store.start();
      return store;
    };
    const store = await open();
    await store.setup();
    return {
      store,
      reopen: open,
      dispose: async () => {
        await Promise.all(stores.map((opened) => opened.close()));
      },
    };
  });
});
