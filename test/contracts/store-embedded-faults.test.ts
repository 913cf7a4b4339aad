/** What only a file can do to us: a process killed in a write, a full disk, other processes, growth without end. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { DatabaseSync } from 'node:sqlite';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../core/clock.ts';
import { StoreUnavailableError } from '../../core/errors.ts';
import { silentLogger } from '../../core/log.ts';
import { EmbeddedStore, type EmbeddedStoreOptions } from '../../store/embedded.ts';
import { eventually } from '../support/eventually.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { always, baseUs, forEver, hourMs, point, rollup, telemetry } from './store/harness.ts';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'sluice-store-'));
  cleanups.push(() => rmSync(path, { recursive: true }));
  return path;
}

async function open(file: string, options: Partial<EmbeddedStoreOptions> = {}): Promise<EmbeddedStore> {
  const store = new EmbeddedStore({ file, retention: forEver, clock: systemClock, log: silentLogger, ...options });
  cleanups.push(() => store.close());
  await store.start();
  return store;
}

const temperatures = async (store: EmbeddedStore, site: string) =>
  (await store.readings(site, 'd', always.fromMs, always.toMs)).map(({ fields }) => fields.temperature);

interface Writing {
  readonly child: ChildProcess;
  /** How many points it has said are stored. */
  stored: number;
}

function writeInOtherProcess(file: string, site: string, batch: number): Writing {
  const script = fileURLToPath(new URL('./store/writing-process.ts', import.meta.url));
  const child = spawn(process.execPath, [script, file, site, String(batch)], { stdio: ['ignore', 'pipe', 'inherit'] });
  cleanups.push(() => kill(child));
  const writing: Writing = { child, stored: 0 };
  createInterface({ input: child.stdout }).on('line', (line) => {
    writing.stored = Number(line);
  });
  return writing;
}

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const closed = once(child, 'close');
  child.kill('SIGKILL');
  await closed;
}

describe('the embedded store and other processes', () => {
  it('shows to another process at once what is written', async () => {
    const file = join(folder(), 'store.sqlite');
    const reader = await open(file);
    const writing = writeInOtherProcess(file, 'lab', 10);
    for (let round = 0; round < 20; round += 1) {
      const before = writing.stored;
      await eventually(() => writing.stored > before, { what: 'another batch' });
      const promised = writing.stored;
      expect((await temperatures(reader, 'lab')).length).toBeGreaterThanOrEqual(promised);
    }
  });

  it('takes the writes of several processes', async () => {
    const file = join(folder(), 'store.sqlite');
    const store = await open(file);
    const others = ['a', 'b'].map((site) => writeInOtherProcess(file, site, 5));
    await eventually(() => others.every(({ stored }) => stored > 0), { what: 'both processes writing' });
    for (let i = 0; i < 50; i += 1) {
      expect(await store.write([point(telemetry('ours', 'd'), baseUs + i, { temperature: i })])).toEqual([]);
    }
    expect(await store.write([point(telemetry('ours', 'd'), baseUs, { temperature: 'text' })])).toMatchObject([
      { reason: 'type_conflict' },
    ]);
    await Promise.all(others.map(({ child }) => kill(child)));
    expect(await temperatures(store, 'ours')).toHaveLength(50);
  });

  it('loses nothing that was promised when the process is killed in a write', async () => {
    const file = join(folder(), 'store.sqlite');
    for (let round = 0; round < 5; round += 1) {
      const site = `round${round}`;
      const writing = writeInOtherProcess(file, site, 500);
      await eventually(() => writing.stored >= 2000 * (round + 1), { everyMs: 1, what: 'some batches' });
      await kill(writing.child);
      const store = await open(file);
      const found = await temperatures(store, site);
      expect(found.length).toBeGreaterThanOrEqual(writing.stored);
      // A batch is there as a whole or not at all.
      expect(found.length % 500).toBe(0);
      expect(found).toEqual(found.map((_, i) => i));
      await store.close();
    }
  });
});

describe('the embedded store and its file', () => {
  it('refuses a file of another version, and says so', async () => {
    const file = join(folder(), 'store.sqlite');
    const newer = new DatabaseSync(file);
    newer.exec('PRAGMA user_version = 999');
    newer.close();
    const store = new EmbeddedStore({ file, retention: forEver, clock: systemClock, log: silentLogger });
    await expect(store.start()).rejects.toThrow(/schema version 999/);
    await store.close();
  });

  it('says when its folder is missing, and starts once it is there', async () => {
    const parent = folder();
    const file = join(parent, 'missing', 'store.sqlite');
    const store = new EmbeddedStore({ file, retention: forEver, clock: systemClock, log: silentLogger });
    cleanups.push(() => store.close());
    await expect(store.start()).rejects.toThrow(StoreUnavailableError);
    execFileSync('mkdir', [join(parent, 'missing')]);
    await store.start();
    expect(await store.write([point(telemetry('lab', 'd'), baseUs, { temperature: 1 })])).toEqual([]);
  });

  it('deletes what is older than the retention, while writes go on, and its file stops growing', async () => {
    const file = join(folder(), 'store.sqlite');
    const clock = new ManualClock(baseUs / 1000);
    const store = await open(file, { clock, retention: { rawMs: hourMs, rollupMs: 1000 * hourMs } });
    const nowUs = () => clock.nowMs() * 1000;
    const writeHour = async () => {
      const from = nowUs();
      for (let device = 0; device < 20; device += 1) {
        const series = telemetry('lab', `d${device}`);
        await store.write(Array.from({ length: 2000 }, (_, i) => point(series, from + i, { temperature: i })));
      }
    };
    await store.write([point(telemetry('lab', 'gone'), nowUs(), { temperature: 1 })]);
    await store.write([point(rollup('1h', 'lab', 'd', 'temperature'), nowUs(), { count: 1 })]);
    const sizes: number[] = [];
    for (let hour = 0; hour < 6; hour += 1) {
      await writeHour();
      const writtenUs = nowUs();
      clock.advance(hourMs);
      const oldOnesAreGone = () =>
        eventually(
          async () => {
            clock.advance(hourMs / 4);
            return (await store.readings('lab', 'd19', always.fromMs, writtenUs / 1000 + 1)).length === 0;
          },
          { everyMs: 100, what: 'old points gone' },
        );
      const slowest = await slowestWriteDuring(store, nowUs, oldOnesAreGone);
      expect(slowest).toBeLessThan(250);
      sizes.push(statSync(file).size + statSync(`${file}-wal`).size);
    }
    expect(sizes.at(-1)).toBeLessThan(sizes[1]! * 1.2);
    expect((await store.newest(0, 100)).map(({ device }) => device)).not.toContain('gone');
    const rollups = { site: 'lab', device: 'd', field: 'temperature', ...always, limit: 10 };
    expect(await store.rollups(rollups, '1h')).toHaveLength(1);
    // A device that was forgotten is taken again.
    expect(await store.write([point(telemetry('lab', 'gone'), nowUs(), { temperature: 2 })])).toEqual([]);
    expect(await store.readings('lab', 'gone', always.fromMs, always.toMs)).toHaveLength(1);
  });

  /** Writes single points until `done` resolves; how long the slowest took, in milliseconds. */
  async function slowestWriteDuring(
    store: EmbeddedStore,
    nowUs: () => number,
    done: () => Promise<unknown>,
  ): Promise<number> {
    let running = true;
    const finished = done().finally(() => {
      running = false;
    });
    let slowest = 0;
    while (running) {
      const started = performance.now();
      await store.write([point(telemetry('lab', 'live'), nowUs(), { temperature: 1 })]);
      slowest = Math.max(slowest, performance.now() - started);
    }
    await finished;
    return slowest;
  }
});

const canMount = process.platform === 'linux' && process.getuid?.() === 0;
if (!canMount)
  process.stderr.write('\n!! SKIPPED: full disk of the embedded store: run as root on Linux to mount a tmpfs\n');

describe.skipIf(!canMount)('the embedded store on a full disk', () => {
  it('rejects, keeps what it promised, and works again when there is room', async () => {
    const disk = folder();
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', disk]);
    cleanups.push(() => execFileSync('umount', [disk]));
    const store = await open(join(disk, 'store.sqlite'));
    const ballast = join(disk, 'ballast');
    writeFileSync(ballast, Buffer.alloc(2_500_000));

    let promised = 0;
    const writeBatch = async () => {
      const points = Array.from({ length: 500 }, (_, i) =>
        point(telemetry('lab', 'd'), baseUs + promised + i, { temperature: promised + i }),
      );
      expect(await store.write(points)).toEqual([]);
      promised += 500;
    };
    const fill = async () => {
      while (promised < 1_000_000) await writeBatch();
    };
    await expect(fill()).rejects.toThrow(StoreUnavailableError);
    await expect(writeBatch()).rejects.toThrow(StoreUnavailableError);
    expect(promised).toBeGreaterThan(0);
    expect(await temperatures(store, 'lab')).toHaveLength(promised);
    const newcomer = Array.from({ length: 5000 }, (_, i) => point(telemetry('new', 'd'), baseUs + i, { voltage: i }));
    await expect(store.write(newcomer)).rejects.toThrow(StoreUnavailableError);

    rmSync(ballast);
    expect(await store.write(newcomer)).toEqual([]);
    expect(await store.readings('new', 'd', always.fromMs, always.toMs)).toHaveLength(5000);
    await writeBatch();
    expect(await temperatures(store, 'lab')).toEqual(Array.from({ length: promised }, (_, i) => i));
  });
});
