/** `sluice recompute` as its user runs it, over the folder that a pipeline left. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { expect, test, vi } from 'vitest';
import { openLab, recordOf } from './recompute-rig.ts';

vi.setConfig({ testTimeout: 120_000 });

const program = join(import.meta.dirname, '../../sluice.ts');
const dayMs = 86_400_000;
const startMs = Math.floor(Date.now() / dayMs) * dayMs - 2 * dayMs;
const range = ['--from', String(startMs), '--to', new Date(startMs + 60_000).toISOString()];

async function recompute(dataDir: string, ...args: string[]) {
  const child = spawn(process.execPath, [program, 'recompute', '--data-dir', dataDir, ...args], {
    env: { PATH: process.env.PATH, SLUICE_LOG_LEVEL: 'silent', NODE_NO_WARNINGS: '1' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const [out, errors, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
  return { out, errors, code: code as number };
}

test('tells what would be done, and does it', async () => {
  const lab = await openLab();
  const sent = (minutes: number, atMinutes = minutes) =>
    recordOf({ ts: startMs + minutes * 60_000, atMs: startMs + atMinutes * 60_000, fields: { t: minutes } });
  await lab.append([sent(0), sent(60), sent(0.5, 60), sent(3000)]);
  await lab.process();
  const { dataDir } = lab.backend.config;

  const dry = await recompute(dataDir, ...range, '--dry-run');
  expect([dry.code, dry.errors]).toEqual([0, '']);
  expect(dry.out).toContain('1 device, 3 readings from the store; nothing was written, these would be:');
  expect(dry.out).toMatch(/^ {2}rollup_1m: 0 added, 1 changed, 0 unchanged, windows from \S+ to \S+$/m);
  const json = await recompute(dataDir, ...range, '--device', 'lab/d', '--json');
  expect(JSON.parse(json.out)).toMatchObject({
    from: new Date(startMs).toISOString(),
    interrupted: false,
    devices: 1,
    measurements: {
      rollup_1d: {
        from: new Date(startMs).toISOString(),
        to: new Date(startMs + dayMs).toISOString(),
        added: 0,
        changed: 1,
        unchanged: 0,
      },
    },
  });
});

test('wrong usage: exit code 2, and what is wrong', async () => {
  const { code, errors } = await recompute('nowhere', '--from', 'yesterday', '--to', 'now');
  expect([code, errors]).toEqual([2, expect.stringContaining('--from is not a time')]);
});
