import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../../core/clock.ts';
import { silentLogger } from '../../core/log.ts';
import { EmbeddedStore } from '../../store/embedded.ts';
import { storeContract } from './store.ts';

storeContract('the embedded store', async (retention) => {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-store-'));
  const stores: EmbeddedStore[] = [];
  const open = async () => {
    const file = join(folder, 'store.sqlite');
    const store = new EmbeddedStore({ file, retention, clock: systemClock, log: silentLogger });
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
      await rm(folder, { recursive: true });
    },
  };
});
