/** `sluice explain` and `sluice state show` as their user runs them, beside a pipeline that has the bus and the store open. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { expect, onTestFinished, test } from 'vitest';
import { rawRecord, startMs } from '../processors/records.ts';
import { openRig, topics } from '../processors/rig.ts';
import { eventually } from '../support/eventually.ts';

const program = join(import.meta.dirname, '../../sluice.ts');

async function sluice(folder: string, ...args: string[]) {
  const child = spawn(
    process.execPath,
    [program, ...args, '--data-dir', folder, '--config', join(folder, 'sluice.yaml')],
    {
      cwd: folder,
      env: { PATH: process.env.PATH, SLUICE_LOG_LEVEL: 'silent', NODE_NO_WARNINGS: '1' },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
  const [out, errors, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
  return { out, errors, code: code as number };
}

test('what they print, and their exit codes', { timeout: 120_000 }, async () => {
  const rig = await openRig([]);
  onTestFinished(() => rig.close());
  await writeFile(join(rig.folder, 'sluice.yaml'), '{ processing: { group: test } }');
  const readings = [10, 40, 66, 80].map((at, n) =>
    rawRecord({ payload: { ts: startMs + at * 1000, temperature: 20 + n }, atMs: at * 1000 }, n),
  );
  await rig.append(readings);
  const processor = rig.processor({ snapshotEveryRecords: 1, sessionTimeoutMs: 3000 });
  await processor.start();
  await eventually(async () => (await rig.bus.committed(topics.raw, 'test'))[0]?.offset === readings.length);

  const window = new Date(startMs).toISOString();
  const explain = ['explain', '--device', 'lab/s1', '--window', window, '--field'];
  const [told, nothing, state] = await Promise.all([
    sluice(rig.folder, ...explain, 'temperature'),
    sluice(rig.folder, ...explain, 'humidity'),
    sluice(rig.folder, 'state', 'show', '--device', 'lab/s1', '--json'),
  ]);
  expect(told).toMatchObject({ code: 0, errors: '' });
  expect(told.out).toMatch(
    /^rollup_1m of temperature, lab\/s1: .*\n {2}readings {3}2 counted\n[\s\S]*recomputed the same\n/,
  );
  expect(nothing).toMatchObject({ code: 1, out: expect.stringMatching(/none counted\n[\s\S]*stored {5}nothing\n/) });
  expect(state.code).toBe(0);
  expect(JSON.parse(state.out)).toMatchObject([
    { partition: 0, problem: null, state: { devices: 1, device: { newestUs: (startMs + 80_000) * 1000 } } },
  ]);
});
