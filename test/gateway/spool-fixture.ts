/** A gateway with a spool: the file outlives the gateway, and a test can put itself between the two. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { EmbeddedBus } from '../../bus/embedded.ts';
import type { DiskBus } from '../../bus/port.ts';
import { systemClock } from '../../core/clock.ts';
import { silentLogger } from '../../core/log.ts';
import type { SpoolSettings } from '../../gateway/spool/spool.ts';
import { publishPacket } from './raw-client.ts';

/** Of a file that goes with the test. Each gateway opens it for itself, as each run of a process would. */
export async function spoolFile(): Promise<(over?: SpoolOver) => SpoolSettings> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-spool-'));
  const opened: EmbeddedBus[] = [];
  onTestFinished(async () => {
    await Promise.all(opened.map((disk) => disk.close()));
    await rm(folder, { recursive: true });
  });
  return ({ afterMs = 50, maxBytes = 1024 * 1024, between = (disk: DiskBus): DiskBus => disk } = {}) => ({
    afterMs,
    maxBytes,
    open: async () => {
      const disk = new EmbeddedBus({ file: join(folder, 'spool.sqlite'), clock: systemClock, log: silentLogger });
      opened.push(disk);
      await disk.start();
      return between(disk);
    },
  });
}

export interface SpoolOver {
  readonly afterMs?: number;
  readonly maxBytes?: number;
  readonly between?: (disk: DiskBus) => DiskBus;
}

/** Messages of devices in turn, numbered, with packet ids from `from` on. */
export function messages(count: number, { from = 1, devices = ['d1', 'd2', 'd3'], pad = 0 } = {}): Buffer[] {
  return Array.from({ length: count }, (_, i) => {
    const n = from + i;
    const topic = `iot/lab/${devices[i % devices.length]}/telemetry`;
    return publishPacket({ topic, id: n, payload: JSON.stringify({ seq: n, t: n, pad: 'x'.repeat(pad) }) });
  });
}
