import { execFileSync } from 'node:child_process';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { openBus, record, temporaryFolder, topic } from './embedded-fixture.ts';

const canMount = process.platform === 'linux' && process.getuid?.() === 0;
if (!canMount) process.stderr.write('\n!! SKIPPED: full disk: needs root on Linux, to mount a small tmpfs\n');

test.skipIf(!canMount)(
  'a full disk refuses appends, loses nothing promised, and all goes on once there is space',
  async () => {
    const disk = join(await temporaryFolder(), 'disk');
    await mkdir(disk);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'tmpfs', disk]);
    onTestFinished(() => void execFileSync('umount', [disk]));
    const ballast = join(disk, 'ballast');
    await writeFile(ballast, Buffer.alloc(4 * 1024 * 1024));

    const bus = await openBus(join(disk, 'bus.db'), { lockTimeoutMs: 500 });
    await bus.createTopics([topic('topic')]);
    const promised: string[] = [];
    let refusal: unknown = null;
    for (let i = 0; refusal === null && i < 1_000; i++) {
      const value = `${i} `.padEnd(20_000, '.');
      await bus.append('topic', [record(value)]).then(
        () => promised.push(value),
        (error: unknown) => {
          refusal = error;
        },
      );
    }
    expect(refusal).toMatchObject({ code: 'BUS_UNAVAILABLE', message: expect.stringContaining('full') });
    expect(promised.length).toBeGreaterThan(10);
    const values = async () => (await bus.read('topic', 0, 0, 10_000)).records.map((each) => each.value?.toString());
    expect(await values()).toEqual(promised);

    await rm(ballast);
    await eventually(() => bus.ping().then(() => true));
    await bus.append('topic', [record('after')]);
    expect(await values()).toEqual([...promised, 'after']);
    await bus.close();

    const reopened = await openBus(join(disk, 'bus.db'));
    const { records, endOffset } = await reopened.read('topic', 0, 0, 10_000);
    expect(records.map((each) => each.value?.toString())).toEqual([...promised, 'after']);
    expect(endOffset).toBe(promised.length + 1);
    await reopened.close();
  },
);
