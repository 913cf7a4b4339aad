/**
 * A process of its own that writes to an embedded store without an end, and says on its output how many points are
 * stored: `writing-process.ts FILE SITE BATCH`.
 */
import { systemClock } from '../../../core/clock.ts';
import { silentLogger } from '../../../core/log.ts';
import { EmbeddedStore } from '../../../store/embedded.ts';
import { baseUs, forEver, point, telemetry } from './harness.ts';

const [file = '', site = '', batch = ''] = process.argv.slice(2);
const store = new EmbeddedStore({ file, retention: forEver, clock: systemClock, log: silentLogger });
await store.start();
const series = telemetry(site, 'd');
const size = Number(batch);
for (let from = 0; ; from += size) {
  await store.write(
    Array.from({ length: size }, (_, i) => point(series, baseUs + from + i, { temperature: from + i })),
  );
  process.stdout.write(`${from + size}\n`);
}
