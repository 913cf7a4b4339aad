/** `sluice verify` as its user runs it, over the folder that a pipeline left. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { systemClock } from '../../core/clock.ts';
import { resolveConfig } from '../../core/config.ts';
import { silentLogger } from '../../core/log.ts';
import { topicSpecs } from '../../core/topics.ts';
import { openBus, openStore } from '../../pipeline.ts';
import { Processor } from '../../processors/runner.ts';
import { drained, topics } from '../processors/rig.ts';
import { type Fleet, unrulyFleet } from './fleet.ts';
import { rules, rulesText, tell } from './rig.ts';

const program = join(import.meta.dirname, '../../sluice.ts');
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-verify-'));
  await writeFile(join(folder, 'rules.yaml'), rulesText);
  const config = resolveConfig({ env: { SLUICE_DATA_DIR: folder }, flags: {}, readText: () => '' });
  const bus = openBus(config, systemClock, silentLogger);
  const store = openStore({ ...config, retention: { ...config.retention, rawMs: 1e15 } }, systemClock, silentLogger);
  await bus.start();
  await store.start();
  await store.setup();
  await bus.createTopics(topicSpecs({ prefix: 'iot.', partitions: 1, rawRetentionMs: null, rawRetentionBytes: null }));
  const { records } = unrulyFleet();
  await bus.append(topics.raw, records);
  const { group } = config.processing;
  const options = config.processing;
  const processor = new Processor({
    ...{ bus, store, topics, group, rules, options },
    ...{ instance: 'one', version: '0', clock: systemClock, log: silentLogger },
  });
  await processor.start();
  await drained(processor, records.length);
  await tell({ bus }, processor.status());
  await processor.close(5000);
  await store.close();
  await bus.close();
});
afterAll(() => rm(folder, { recursive: true }));

async function verify(fleet: Fleet, ...args: string[]) {
  const truth = join(folder, 'truth.ndjson');
  await writeFile(truth, `${fleet.lines().join('\n')}\n`);
  return sluiceVerify('--truth', truth, '--rules', join(folder, 'rules.yaml'), '--wait', '0', ...args);
}

async function sluiceVerify(...args: string[]) {
  const child = spawn(process.execPath, [program, 'verify', '--data-dir', folder, ...args], {
    env: { PATH: process.env.PATH, SLUICE_LOG_LEVEL: 'silent', NODE_NO_WARNINGS: '1' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const [out, errors, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
  return { out, errors, code: code as number };
}

/** So many more messages that nobody took, and that were acknowledged. */
function withLost(count: number): Fleet {
  const fleet = unrulyFleet();
  for (let i = 0; i < count; i++) fleet.reading('s2', 1_200_001 + i, i, { records: 0 });
  return fleet;
}

test('all is well: exit code 0, the rows, and what it waits for on standard error', async () => {
  const { out, errors, code } = await verify(unrulyFleet());
  expect([code, errors]).toEqual([0, expect.stringContaining('reading dead letters')]);
  expect(out).toMatch(/^made +\d+; /m);
  expect(out.trimEnd().split('\n').at(-1)).toMatch(/^All \d+ acknowledged messages are accounted for exactly once/);
});

test('problems: exit code 1, twenty of a kind, and all of them with --all', async () => {
  const brief = await verify(withLost(30));
  expect(brief.code).toBe(1);
  expect(brief.out.match(/^P1 lost: /gm)).toHaveLength(20);
  expect(brief.out).toContain('… and 10 more of lost: --all lists them');
  const all = await verify(withLost(30), '--all');
  expect(all.out.match(/^P1 lost: /gm)).toHaveLength(30);
  expect(all.out).not.toContain('--all lists them');
});

test('--html writes a page that needs nothing else, and names what is wrong', async () => {
  const page = join(folder, 'report.html');
  const { code, out } = await verify(withLost(30), '--html', page, '--json');
  expect(code).toBe(1);
  const { verdict, run } = JSON.parse(out) as { verdict: string; run: { run: string } };
  const html = await readFile(page, 'utf8');
  expect(html).toMatch(/^<!doctype html>/);
  expect(html).toContain(`<h1>Sluice verify: ${run.run}</h1>`);
  expect(html).toContain(`<p class="verdict broken">${verdict}</p>`);
  expect(html.match(/<li>P1 lost: lab\/s2 n /g)).toHaveLength(20);
  expect(html).toContain('10 more of lost');
  expect(html).not.toMatch(/(src|href)=/);
});

test.each<[what: string, args: () => string[], message: RegExp]>([
  ['a truth that is not there', () => ['--truth', join(folder, 'none')], /the truth cannot be read: ENOENT/],
  ['a truth that is none', () => ['--truth', join(folder, 'rules.yaml')], /rules\.yaml:1 is not JSON/],
  ['a time that is none', () => ['--truth', 'x', '--wait', 'long'], /--wait: expected milliseconds/],
  ['no truth', () => [], /--truth/],
])('%s: exit code 2, and nothing on standard output', async (_, args, message) => {
  expect(await sluiceVerify(...args())).toEqual({ code: 2, out: '', errors: expect.stringMatching(message) });
});
