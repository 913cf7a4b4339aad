/**
 * A store that was lost gets back what the bus holds, and late readings get into the windows that they missed: on Kafka and
 * InfluxDB. What is embedded, and all else of it: `test/processors/recompute*.test.ts`.
 */
import { randomBytes } from 'node:crypto';
import { expect, onTestFinished, test } from 'vitest';
import { systemClock } from '../../core/clock.ts';
import { silentLogger } from '../../core/log.ts';
import { openStore } from '../../pipeline.ts';
import { openLab, recordOf } from '../processors/recompute-rig.ts';
import { isAvailable } from '../support/backends.ts';
import { storedPoints } from '../support/oracle/stored.ts';

const minuteMs = 60_000;
const dayMs = 86_400_000;
const startMs = Math.floor(Date.now() / dayMs) * dayMs - 2 * dayMs;
const devices = ['a', 'b', 'c'];

test.skipIf(!isAvailable('Kafka + InfluxDB'))(
  'rebuilt from stored readings, and from the bus into empty buckets',
  async () => {
    const lab = await openLab({}, 'Kafka + InfluxDB');
    const at = (minutes: number) => startMs + minutes * minuteMs;
    const fields = (n: number) => ({ t: n / 4, door: n % 3 === 0, mode: `m${n % 5}` });
    const inTime = Array.from({ length: 240 }, (_, n) => ({ ts: at(n / 4), fields: fields(n) }));
    const late = [5.1, 5.2, 17.3].map((minutes) => ({ ts: at(minutes), atMs: at(60), fields: { t: 100, door: true } }));
    const last = { ts: at(3000), fields: { beat: 1 } };
    for (const device of devices)
      await lab.append([...inTime, ...late, last].map((sent) => recordOf({ ...sent, device })));
    await lab.process();
    const before = await lab.points();

    const empty = await openEmptyBuckets(lab.backend.config);
    await lab.fromBus({ context: { store: empty.store } });
    expect(new Map(await storedPoints(empty.config))).toEqual(new Map(before));
    for (const device of devices) {
      const readings = await empty.store.readings('lab', device, 0, 1e13);
      expect(readings).toHaveLength(inTime.length + late.length + 1);
      expect(readings).toEqual(await lab.store.readings('lab', device, 0, 1e13));
    }

    const { measurements } = await lab.recompute({ fromUs: at(0) * 1000, toUs: at(60) * 1000 });
    expect(measurements).toMatchObject({
      rollup_1m: { added: 0, changed: 2 * devices.length, unchanged: 58 * devices.length },
      rollup_1h: { changed: devices.length },
      rollup_1d: { changed: devices.length },
    });
    const minute = { site: 'lab', device: 'a', field: 't', fromMs: at(5), toMs: at(6), limit: 1 };
    expect(await lab.store.rollups(minute, '1m')).toMatchObject([{ fields: { count: 6, max: 100, final: true } }]);
  },
);

async function openEmptyBuckets(of: Parameters<typeof storedPoints>[0]) {
  const run = randomBytes(4).toString('hex');
  const config = { ...of, influx: { ...of.influx, bucket: `empty-${run}`, rollupBucket: `empty-${run}-rollups` } };
  const store = openStore(config, systemClock, silentLogger);
  onTestFinished(() => store.close());
  await store.start();
  await store.setup();
  return { config, store };
}
