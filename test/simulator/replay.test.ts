/** A recording sent again: what is read of it, what is not, and when it goes out. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { systemClock } from '../../core/clock.ts';
import { SluiceError } from '../../core/errors.ts';
import { silentLogger } from '../../core/log.ts';
import type { DeviceIdentity } from '../../simulator/fleet.ts';
import { defaultSimulatorOptions, type SimulatorOptions } from '../../simulator/options.ts';
import { Recording } from '../../simulator/replay/recording.ts';
import { Replay } from '../../simulator/replay/replay.ts';
import type { Mapping, Row } from '../../simulator/replay/rows.ts';
import { Simulator } from '../../simulator/simulator.ts';
import { RawBroker } from './raw-broker.ts';

const mapping: Mapping = {
  device: 'device',
  site: 'site',
  defaultSite: 'replay',
  time: 'time',
  timeUnitMs: 1,
  fields: null,
};
const firstMs = Date.UTC(2025, 0, 1);

async function recordingOf(name: string, text: string, over: Partial<Mapping> = {}): Promise<Recording> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-replay-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const file = join(folder, name);
  await writeFile(file, text);
  return Recording.open(file, { ...mapping, ...over });
}

async function rowsOf(recording: Recording): Promise<Row[]> {
  const rows: Row[] = [];
  for await (const row of recording.rows()) rows.push(row);
  return rows;
}

test('CSV: cells are numbers, booleans or texts, an empty one is no value', async () => {
  const recording = await recordingOf(
    'readings.csv',
    '\ufeffdevice,time,site,temperature,door,note,code\r\n' +
      'a,2025-01-01T00:00:00Z,lab,20.5,true,"with, a ""comma""",0x10\r\n' +
      'b,2025-01-01T01:00:00+01:00,,-1e3,false,,1.2.3\r\n',
  );
  expect(await rowsOf(recording)).toEqual([
    {
      site: 'lab',
      device: 'a',
      timeMs: firstMs,
      fields: { temperature: 20.5, door: true, note: 'with, a "comma"', code: '0x10' },
    },
    { site: 'replay', device: 'b', timeMs: firstMs, fields: { temperature: -1000, door: false, code: '1.2.3' } },
  ]);
  expect(recording.problems()).toEqual([]);
});

test('NDJSON, with columns of other names, times in seconds and chosen fields', async () => {
  const lines = [
    { sensor: 7, at: firstMs / 1000, t: 20, h: 40, other: 1 },
    { sensor: 'b', at: firstMs / 1000 + 0.5, t: null, h: 'high', other: 1 },
  ];
  const recording = await recordingOf('readings.ndjson', lines.map((line) => `${JSON.stringify(line)}\n`).join('\n'), {
    device: 'sensor',
    time: 'at',
    timeUnitMs: 1000,
    fields: new Map([
      ['t', 'temperature'],
      ['h', 'h'],
    ]),
  });
  expect(await rowsOf(recording)).toEqual([
    { site: 'replay', device: '7', timeMs: firstMs, fields: { temperature: 20, h: 40 } },
    { site: 'replay', device: 'b', timeMs: firstMs + 500, fields: { h: 'high' } },
  ]);
});

test('lines that cannot be sent are counted and named, and the others are sent', async () => {
  const csv = await recordingOf(
    'readings.csv',
    'device,time,a\nd,0,1\nd,soon,2\nd,1\nx/y,2,3\n,3,3\nd,4,\nd,5,"3\n"\nd,6,7\n',
  );
  expect((await rowsOf(csv)).map(({ timeMs }) => timeMs)).toEqual([0, 5, 6]);
  const [problem] = csv.problems();
  expect(problem).toMatch(
    /^5 lines of .*readings\.csv were not sent: line 3: time: expected a time, got "soon"; line 4: /,
  );
  expect(problem).toContain(
    'line 5: device: "x/y" holds / + or #; line 6: device: expected a name; line 7: no field has',
  );

  const json = await recordingOf('r.ndjson', '{"device":"d","time":1,"a":1}\n{\n[1]\n{"device":"d","time":2,"a":{}}\n');
  expect(await rowsOf(json)).toHaveLength(1);
  expect(json.problems()[0]).toMatch(/^3 lines of .* line 2: not JSON: .*; line 3: expected an object .*; line 4: a: /);
});

test('of many bad lines the first ten are named', async () => {
  const recording = await recordingOf('r.csv', `device,time,a\nd,0,1\n${'d,never,1\n'.repeat(1000)}`);
  await rowsOf(recording);
  expect(recording.problems()[0]).toMatch(/^1000 lines .*; line 12: [^;]*; …$/);
});

test.each([
  ['r.csv', 'sensor,time,a\nd,0,1\n', 'no line of .* can be sent: as in line 2: device: expected a name'],
  ['r.csv', '', 'no line of .* can be sent: it is empty'],
])('a file without a line to send: %s', async (name, text, expected) => {
  await expect(recordingOf(name, text)).rejects.toThrow(new RegExp(expected));
});

test.each(['missing.csv', 'missing.ndjson'])('%s cannot be read', async (name) => {
  await expect(Recording.open(join(tmpdir(), name), mapping)).rejects.toThrow(/missing.* cannot be read: ENOENT/);
});

/** Rows `[device, second, value]`, sent to a broker of its own. */
async function replayed(
  rows: readonly [string, number, number][],
  options: { speed: number; keepsTimes: boolean },
  credentials: SimulatorOptions['credentials'] = null,
) {
  const text = rows.map(([device, second, a]) => `{"device":"${device}","time":${firstMs + second * 1000},"a":${a}}\n`);
  const recording = await recordingOf('r.ndjson', text.join(''));
  const broker = await RawBroker.open();
  const startMs = systemClock.nowMs();
  const simulator = new Simulator(
    {
      ...defaultSimulatorOptions,
      broker: broker.url,
      scenario: 'replay',
      fleets: [],
      clientId: '{site}-{device}',
      maxInFlight: 2,
      maxHeld: 3,
      speed: options.speed,
      backfillMs: options.keepsTimes ? startMs - firstMs : 0,
      credentials,
    },
    { clock: systemClock, log: silentLogger, run: 'r1' },
  );
  const replay = new Replay(recording, simulator, { startMs, ...options });
  onTestFinished(() => replay.stop());
  replay.start();
  await replay.finished;
  const tookMs = systemClock.nowMs() - startMs;
  await replay.stop();
  const sent = broker.received.map(({ topic, payload }) => ({ topic, ...JSON.parse(payload) }));
  return { sent, startMs, tookMs, stats: replay.stats(), problems: replay.problems(), broker };
}

test('rows go out as far apart as they were recorded, divided by the speed; ts is then, seq counts per device', async () => {
  const rows: [string, number, number][] = [
    ['a', 0, 1],
    ['b', 1, 2],
    ['a', 4, 3],
    ['a', 3, 4],
    ['b', 6, 5],
  ];
  const { sent, startMs, tookMs, stats } = await replayed(rows, { speed: 10, keepsTimes: false });
  expect(sent.map(({ ts, ...rest }) => [ts - startMs, rest])).toEqual([
    [0, { topic: 'iot/replay/a/telemetry', seq: 0, a: 1 }],
    [100, { topic: 'iot/replay/b/telemetry', seq: 0, a: 2 }],
    [400, { topic: 'iot/replay/a/telemetry', seq: 1, a: 3 }],
    [300, { topic: 'iot/replay/a/telemetry', seq: 2, a: 4 }],
    [600, { topic: 'iot/replay/b/telemetry', seq: 1, a: 5 }],
  ]);
  expect(tookMs).toBeGreaterThanOrEqual(600);
  expect(stats).toMatchObject({ devices: 2, made: 5, acknowledged: 5, skipped: 0 });
});

test('with the times kept, as fast as it is taken: nothing is skipped, whatever the bounds', async () => {
  const rows = Array.from({ length: 3000 }, (_, n): [string, number, number] => [`d${n % 3}`, n * 60, n]);
  const { sent, tookMs, stats } = await replayed(rows, { speed: Number.POSITIVE_INFINITY, keepsTimes: true });
  expect(stats).toMatchObject({ made: 3000, acknowledged: 3000, skipped: 0 });
  expect(tookMs).toBeLessThan(15_000);
  const ofOne = sent.filter(({ topic }) => topic === 'iot/replay/d1/telemetry');
  expect(ofOne.map(({ ts, seq }) => [ts, seq])).toEqual(
    Array.from({ length: 1000 }, (_, n) => [firstMs + (3 * n + 1) * 60_000, n]),
  );
});

test('with the times kept and a speed, it takes its time', async () => {
  const { sent, tookMs } = await replayed(
    [
      ['a', 0, 1],
      ['a', 60, 2],
    ],
    { speed: 200, keepsTimes: true },
  );
  expect(sent.map(({ ts }) => ts)).toEqual([firstMs, firstMs + 60_000]);
  expect(tookMs).toBeGreaterThanOrEqual(290);
});

test('each device connects as itself; rows of one that has no user are lines that cannot be sent', async () => {
  const rows: [string, number, number][] = [
    ['a', 0, 1],
    ['stranger', 1, 2],
    ['stranger', 2, 3],
    ['b', 3, 4],
  ];
  const credentials = ({ device }: DeviceIdentity) => {
    if (device === 'stranger') throw new SluiceError('CONFIG_INVALID', 'there is no user for replay/stranger');
    return { username: device, password: `of ${device}` };
  };
  const speed = { speed: Number.POSITIVE_INFINITY, keepsTimes: true };
  const { sent, stats, problems, broker } = await replayed(rows, speed, credentials);
  expect(sent.map(({ topic }) => topic).sort()).toEqual(['iot/replay/a/telemetry', 'iot/replay/b/telemetry']);
  expect(['of a', 'of b']).toContain(broker.password);
  expect(stats).toMatchObject({ devices: 2, acknowledged: 2 });
  expect(problems).toEqual([expect.stringMatching(/^2 lines of .*there is no user for replay\/stranger/)]);
});
