import { expect, test } from 'vitest';
import type { Fields } from '../../core/reading.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { MemoryBus } from '../support/memory-bus.ts';
import {
  alertOf,
  gatewayStatus,
  openRig,
  openStore,
  outage,
  processorStatus,
  storeReading,
  tell,
  tellStatus,
  topics,
} from './harness.ts';

test('status: what processes tell on the bus, with what this one says of itself', async () => {
  const clock = new ManualClock();
  const nowMs = clock.nowMs();
  const { bus, get } = await openRig({ clock, problems: () => ['starting: gateway'] });
  await tellStatus(bus, gatewayStatus('g', nowMs, { received: 9, appended: 8, held: 1 }, { clients: 2 }));
  await tellStatus(bus, processorStatus('p', nowMs, { 0: 5, 1: 3 }, { ready: false, problems: ['store: down'] }));
  const { status, body } = await get('/api/status');
  expect(status).toBe(200);
  expect(body).toMatchObject({
    version: '1.2.3',
    atMs: nowMs,
    uptimeMs: 0,
    bus: 'embedded',
    store: 'embedded',
    ledger: { balanced: true, imbalances: [], gateway: { received: 9 }, processor: { records: 8, stored: 8 } },
    problems: ['starting: gateway', 'store: down'],
    totals: { clients: 2, received: 9, appended: 8, processed: 8, stored: 8 },
    roles: [
      { role: 'gateway', instance: 'g' },
      { role: 'processor', instance: 'p' },
    ],
  });
});

test('what this process says of itself needs no bus and is newer than on it', async () => {
  let received = 1;
  const clock = new ManualClock();
  const status = () => [gatewayStatus('g', clock.nowMs(), { received, appended: received })];
  const { bus, get } = await openRig({ clock, status });
  await tellStatus(bus, status()[0]!);
  received = 2;
  expect((await get('/api/status')).body).toMatchObject({
    totals: { received: 2 },
    roles: [{ instance: 'g', ledger: { received: 2 } }],
  });
});

test('a process that is gone leaves the list after five seconds, and its counts stay', async () => {
  const clock = new ManualClock();
  const { bus, get } = await openRig({ clock });
  await tellStatus(bus, gatewayStatus('g', clock.nowMs(), { received: 4, appended: 4 }, { clients: 4 }));
  clock.advance(4999);
  expect((await get('/api/status')).body).toMatchObject({ roles: [{ instance: 'g' }], totals: { clients: 4 } });
  clock.advance(1);
  expect((await get('/api/status')).body).toMatchObject({
    roles: [],
    totals: { clients: 0, received: 4, appended: 4 },
  });
});

test('a run that had ended before is not alive for a moment; the clock of another machine may be off', async () => {
  const clock = new ManualClock();
  const bus = new MemoryBus({ clock });
  const before = await openRig({ clock, bus });
  await tellStatus(bus, gatewayStatus('ended', clock.nowMs() - 60_000, { received: 1, appended: 1 }));
  const { get } = await openRig({ clock, bus, store: before.store });
  await tellStatus(bus, gatewayStatus('behind', clock.nowMs() - 60_000, { received: 2, appended: 2 }));
  expect((await get('/api/status')).body).toMatchObject({ roles: [{ instance: 'behind' }], totals: { received: 3 } });
});

test('runs that ended over a day ago are taken from the topic, and count on', async () => {
  const clock = new ManualClock();
  const bus = new MemoryBus({ clock });
  const first = await openRig({ clock, bus });
  await tellStatus(bus, gatewayStatus('old', clock.nowMs() - 2 * 86_400_000, { received: 7, appended: 7 }));
  await tellStatus(bus, gatewayStatus('new', clock.nowMs() - 3_600_000, { received: 1, appended: 1 }));
  const { get } = await openRig({ clock, bus, store: first.store });
  const tombstones = bus.records(topics.pipelineStatus).filter(({ value }) => value === null);
  expect(tombstones.map(({ key }) => key)).toEqual(['gateway/old']);
  expect((await get('/api/status')).body).toMatchObject({ totals: { received: 8 } });
});

test('records that are not of their kind are passed over', async () => {
  const { bus, get } = await openRig();
  for (const topic of [topics.pipelineStatus, topics.alertsState, topics.alerts, topics.deviceStatus]) {
    await tell(bus, topic, 'x', { role: 'gateway', instance: 5 });
    await bus.append(topic, [{ key: 'y', value: Buffer.from('{'), headers: {}, timestampMs: 0 }]);
  }
  expect((await get('/api/status')).body).toMatchObject({ roles: [] });
  expect((await get('/api/alerts')).body).toEqual({ alerts: [] });
  expect((await get('/api/devices')).body).toEqual({ devices: [], online: 0, truncated: false });
});

test('the lag is that of the commits while no processor is heard of', async () => {
  const clock = new ManualClock();
  const { bus, get } = await openRig({ clock });
  await tell(bus, topics.raw, 'lab/a', {}, clock.nowMs() - 3000);
  await get('/api/status');
  clock.advance(3000);
  await get('/api/status');
  expect((await get('/api/status')).body).toMatchObject({ lag: { records: 1, seconds: 6 } });
  await tellStatus(bus, processorStatus('p', clock.nowMs(), { 0: 1, 1: 1 }));
  expect((await get('/api/status')).body).toMatchObject({ lag: { records: 0, seconds: 0 } });
});

test('devices: newest values from the store, presence from the bus', async () => {
  const { bus, store, get } = await openRig();
  const nowMs = Date.now();
  await storeReading(store, 'a', nowMs - 60_000, { temperature: 20, battery: 80 });
  await storeReading(store, 'a', nowMs - 1000, { temperature: 21.5 });
  await storeReading(store, 'b', nowMs - 5 * 86_400_000, { open: true });
  await storeReading(store, 'long-gone', nowMs - 8 * 86_400_000, { open: true });
  const a = { site: 'lab', device: 'a', status: 'online', sinceMs: nowMs, reason: 'message', instance: 'run1' };
  await tell(bus, topics.deviceStatus, 'lab/a', a);
  expect((await get('/api/devices')).body).toEqual({
    devices: [
      {
        site: 'lab',
        device: 'a',
        lastSeenMs: nowMs - 1000,
        online: true,
        presence: { sinceMs: nowMs, reason: 'message', identity: null },
        clockSkewMs: null,
        fields: { temperature: 21.5, battery: 80 },
      },
      {
        site: 'lab',
        device: 'b',
        lastSeenMs: nowMs - 5 * 86_400_000,
        online: false,
        presence: null,
        clockSkewMs: null,
        fields: { open: true },
      },
    ],
    online: 1,
    truncated: false,
  });
});

test('a device whose clock is off, as the processors that live tell of it', async () => {
  const clock = new ManualClock(Date.now());
  const { bus, store, get } = await openRig({ clock });
  for (const device of ['a', 'b']) await storeReading(store, device, clock.nowMs() - 1000, { temperature: 21.5 });
  const skewsOf = async () => {
    const { devices } = (await get('/api/devices')).body as {
      devices: { device: string; clockSkewMs: number | null }[];
    };
    return Object.fromEntries(devices.map(({ device, clockSkewMs }) => [device, clockSkewMs]));
  };
  const worst = [{ site: 'lab', device: 'b', skewMs: -90_000 }];
  await tellStatus(bus, processorStatus('p', clock.nowMs(), { 0: 1 }, { skewed: { count: 1, worst } }));
  await tellStatus(bus, processorStatus('q', clock.nowMs(), { 1: 1 }));
  expect(await skewsOf()).toEqual({ a: null, b: -90_000 });
  // It has ended: the next owner of its partitions tells what is so now.
  clock.advance(6000);
  await tellStatus(bus, processorStatus('q', clock.nowMs(), { 1: 1 }));
  expect(await skewsOf()).toEqual({ a: null, b: null });
});

test('with the store out devices and history answer 503 and when to try again; the rest answers', async () => {
  const out = outage(await openStore());
  const { get } = await openRig({ store: out.store });
  out.isDown = true;
  for (const path of ['/api/devices', '/api/history?site=lab&device=a&field=temperature']) {
    const answer = await get(path);
    expect(answer, path).toMatchObject({
      status: 503,
      body: { error: { code: 'STORE_UNAVAILABLE', message: 'the store does not answer' } },
    });
    expect(answer.headers.get('retry-after')).toBe('2');
  }
  expect((await get('/api/alerts')).status).toBe(200);
  expect(await get('/api/status')).toMatchObject({
    status: 200,
    body: { problems: ['store: the store does not answer'] },
  });
  out.isDown = false;
  expect((await get('/api/devices')).status).toBe(200);
});

test('alerts: open ones from the states, ended ones for a while, newest first', async () => {
  const clock = new ManualClock();
  const bus = new MemoryBus({ clock });
  const first = await openRig({ clock, bus });
  const at = (minute: number) => `2026-01-01T00:0${minute}:00.000Z`;
  const ended = alertOf('a', { startsAt: at(1), seq: 2, status: 'resolved', endsAt: at(2) });
  const open = alertOf('b', { startsAt: at(3) });
  await tell(bus, topics.alerts, 'a', alertOf('a', { startsAt: at(1) }));
  await tell(bus, topics.alertsState, 'a', alertOf('a', { startsAt: at(1) }));
  await tell(bus, topics.alerts, 'a', ended);
  await tell(bus, topics.alertsState, 'a', null);
  await tell(bus, topics.alertsState, 'b', open);
  expect((await first.get('/api/alerts')).body).toEqual({ alerts: [open, ended] });
  const later = await openRig({ clock, bus, store: first.store });
  expect((await later.get('/api/alerts')).body).toEqual({ alerts: [open, ended] });
});

test('history: readings of one field, in the range, oldest first', async () => {
  const { store, get } = await openRig();
  const nowMs = Date.now();
  for (const minute of [90, 30, 20, 10]) {
    await storeReading(store, 'a', nowMs - minute * 60_000, { temperature: minute, other: 1 });
  }
  const values = async (query: string) => {
    const { status, body } = await get(`/api/history?site=lab&device=a&field=temperature${query}`);
    expect(status).toBe(200);
    return (body as { points: { timeMs: number; value: number }[] }).points.map(({ value }) => value);
  };
  expect(await values('')).toEqual([30, 20, 10]);
  expect(await values('&from=-2h')).toEqual([90, 30, 20, 10]);
  expect(await values('&from=-25m')).toEqual([20, 10]);
  expect(await values('&from=-2h&to=-1h')).toEqual([90]);
  expect(await values(`&from=${nowMs - 20 * 60_000}&to=${nowMs - 10 * 60_000}`)).toEqual([20]);
  expect(await values(`&from=${new Date(nowMs - 20 * 60_000).toISOString()}&to=now`)).toEqual([20, 10]);
  expect(await values('&from=-2h&limit=2')).toEqual([20, 10]);
  expect((await get('/api/history?site=lab&device=a&field=temperature')).body).toMatchObject({
    points: [{ timeMs: nowMs - 30 * 60_000, value: 30 }, {}, {}],
  });
  expect((await get('/api/history?site=lab&device=nobody&field=x')).body).toEqual({ points: [] });
});

test('history of a rollup: its fields beside the time', async () => {
  const { store, get } = await openRig();
  const timeMs = Math.floor(Date.now() / 60_000) * 60_000;
  const tags = { site: 'lab', device: 'a', field: 'temperature' };
  const series = { bucket: 'rollup', measurement: 'rollup_1m', tags } as const;
  await store.write([{ series, fields: { count: 2, mean: 20.5, final: true }, timeUs: timeMs * 1000, k: 0 }]);
  const query = 'site=lab&device=a&field=temperature';
  expect((await get(`/api/history?${query}&every=1m`)).body).toEqual({
    points: [{ timeMs, count: 2, mean: 20.5, final: true }],
  });
  expect((await get(`/api/history?${query}&every=1h`)).body).toEqual({ points: [] });
});

test('history of windows of the user and of states, by name', async () => {
  const { store, get } = await openRig();
  const timeMs = Math.floor(Date.now() / 60_000) * 60_000 - 120_000;
  const write = (measurement: string, more: Record<string, string>, fields: Fields, atMs: number) =>
    store.write([
      {
        series: { bucket: 'rollup', measurement, tags: { site: 'lab', device: 'a', field: 'x', ...more } },
        ...{ fields, timeUs: atMs * 1000, k: 0 },
      },
    ]);
  for (const n of [0, 1, 2]) await write('energy_15m', {}, { increase: n, final: true }, timeMs + n * 1000);
  await write('state_1m', { state: 'on' }, { durationMs: 4 }, timeMs);
  const query = 'site=lab&device=a&field=x';
  expect((await get(`/api/history?${query}&name=energy_15m&limit=2`)).body).toEqual({
    points: [1, 2].map((n) => ({ timeMs: timeMs + n * 1000, increase: n, final: true })),
  });
  expect((await get(`/api/history?${query}&name=state_1m`)).body).toEqual({
    points: [{ timeMs, state: 'on', durationMs: 4 }],
  });
  expect((await get(`/api/history?${query}&name=trip`)).body).toEqual({ points: [] });
});

test.each([
  ['', ['site is missing', 'device is missing', 'field is missing']],
  ['site=&device=a&field=b', ['site is empty']],
  ['site=a&site=b&device=a&field=b', ['site is missing, or given twice']],
  [
    'site=a&device=a&field=b&every=5m&limit=0&from=yesterday',
    ['every is none of 1m, 1h, 1d', 'limit is less than 1', 'from is not a time'],
  ],
  ['site=a&device=a&field=b&limit=10001', ['limit is more than 10000']],
  ['site=a&device=a&field=b&limit=x', ['limit is not a number']],
  ['site=a&device=a&field=b&from=now&to=-1h', ['from is not before to']],
  ['site=a&device=a&field=b&from=2026-13-01T00:00:00Z', ['from is not a time']],
  ['site=a&device=a&field=b&to=-1w', ['to is not a time']],
  ['site=a&device=a&field=b&name=A', ['name is no name of windows']],
  ['site=a&device=a&field=b&name=trip&every=1m', ['every and name exclude each other']],
  ['site=a&device=a&field=b&form=-1h', ['there is no parameter form']],
])('history refuses %j with everything that is wrong', async (query, problems) => {
  const { get } = await openRig();
  const { status, body } = await get(`/api/history?${query}`);
  expect(status).toBe(400);
  const { error } = body as { error: { code: string; message: string } };
  expect(error.code).toBe('INVALID_QUERY');
  for (const problem of problems) expect(error.message).toContain(problem);
  expect(error.message.split('; ')).toHaveLength(problems.length);
});

test('what fails by our own fault is a 500 that shows nothing of the inside', async () => {
  const store = await openStore();
  const broken = new Proxy(store, {
    get: (target, name) => {
      if (name === 'history') return () => Promise.resolve(null);
      const method = Reflect.get(target, name);
      return typeof method === 'function' ? method.bind(target) : method;
    },
  });
  const { get } = await openRig({ store: broken });
  const { status, body, text } = await get('/api/history?site=a&device=b&field=c');
  expect(status).toBe(500);
  expect(body).toMatchObject({ error: { code: 'INTERNAL' } });
  expect(text).not.toContain('null');
});
