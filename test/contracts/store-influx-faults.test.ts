/** What only InfluxDB can do to us: its status codes, lost answers, a server that is stopped or killed in a write. */
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest';
import { systemClock } from '../../core/clock.ts';
import { StoreUnavailableError } from '../../core/errors.ts';
import { silentLogger } from '../../core/log.ts';
import { InfluxStore, type InfluxStoreOptions } from '../../store/influx.ts';
import type { Store } from '../../store/port.ts';
import { eventually } from '../support/eventually.ts';
import { type OwnInfluxServer, startOwnInflux } from '../support/influx-server.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { always, baseUs, freshField, freshSite, hourMs, point, telemetry } from './store/harness.ts';
import { InfluxProxy } from './store/influx-proxy.ts';

const influx = inject('influx');

function optionsFor(server: { url: string; token: string; org: string }): InfluxStoreOptions {
  const name = randomUUID();
  return {
    url: server.url,
    token: server.token,
    org: server.org,
    rawBucket: name,
    rollupBucket: `${name}_rollups`,
    retention: { rawMs: null, rollupMs: hourMs },
    startTimeoutMs: 2000,
    clock: systemClock,
    log: silentLogger,
  };
}

function readingsOf(site: string, count: number, field = 'temperature') {
  const at = telemetry(site, 'd');
  return Array.from({ length: count }, (_, i) => point(at, baseUs + i, { [field]: i }));
}

const storedCount = async (store: Store, site: string) =>
  (await store.readings(site, 'd', always.fromMs, always.toMs)).length;

const json = { 'content-type': 'application/json; charset=utf-8' };

describe.skipIf(influx === null)('the InfluxDB store behind a proxy', () => {
  let proxy: InfluxProxy;
  let url: string;
  let store: InfluxStore;

  beforeAll(async () => {
    proxy = new InfluxProxy(influx!.url);
    url = await proxy.listen();
    store = new InfluxStore({ ...optionsFor(influx!), url });
    await store.start();
    await store.setup();
  });
  beforeEach(() => proxy.reset());
  afterAll(async () => {
    await store?.close();
    await proxy?.close();
  });

  const outages = [
    { status: 401, headers: json, body: '{"code":"unauthorized","message":"unauthorized access"}' },
    { status: 403, headers: json, body: '{"code":"forbidden","message":"insufficient permissions for write"}' },
    { status: 404, headers: json, body: '{"code":"not found","message":"bucket not found"}' },
    { status: 429, headers: json, body: '{"code":"too many requests","message":"slow down"}' },
    { status: 500, headers: json, body: '{"code":"internal error","message":"engine: timeout"}' },
    { status: 503, body: 'unavailable' },
    { status: 502 },
    { status: 302, headers: { location: '/login' } },
    { status: 400, headers: { 'content-type': 'text/html' }, body: '<h1>plain HTTP request sent to HTTPS port</h1>' },
    { status: 422, body: '' },
    { status: 200, headers: { 'content-type': 'text/html' }, body: '<h1>sign in to the hotel network</h1>' },
  ];
  it.each(outages)('takes $status "$body" for an outage: one request, no point refused', async (answer) => {
    const site = freshSite();
    const points = readingsOf(site, 100);
    proxy.decide = () => answer;
    const failed = await store.write(points).catch((error: unknown) => error);
    expect(failed).toBeInstanceOf(StoreUnavailableError);
    expect((failed as Error).message).toContain(String(answer.status));
    expect(proxy.writes).toHaveLength(1);

    proxy.reset();
    expect(await store.write(points)).toEqual([]);
    expect(await storedCount(store, site)).toBe(100);
  });

  it('hands on for how long the server asks to wait, and sends nothing meanwhile', async () => {
    const clock = new ManualClock();
    const waiting = new InfluxStore({ ...optionsFor(influx!), url, clock });
    await waiting.setup();
    const write = () => waiting.write(readingsOf(freshSite(), 1)).catch((error: unknown) => error);
    proxy.decide = () => ({ status: 429, headers: { 'retry-after': '7' } });
    expect(await write()).toMatchObject({ code: 'STORE_UNAVAILABLE', retryAfterMs: 7000 });
    proxy.decide = () => ({ status: 503 });
    clock.advance(3000);
    expect(await write()).toMatchObject({ code: 'STORE_UNAVAILABLE', retryAfterMs: 4000 });
    expect(proxy.writes).toHaveLength(1);
    clock.advance(4000);
    expect(await write()).toMatchObject({ code: 'STORE_UNAVAILABLE', retryAfterMs: undefined });
    proxy.reset();
    expect(await write()).toEqual([]);
    await waiting.close();
  });

  it('splits a batch that is too large, and refuses a point that is too large alone', async () => {
    const site = freshSite();
    const field = freshField();
    const points = readingsOf(site, 100).map((one, i) =>
      i === 42 ? { ...one, fields: { [field]: 'x'.repeat(500) } } : one,
    );
    proxy.decide = (lines) => (lines.join('\n').length > 400 ? { status: 413, body: 'too large' } : 'forward');
    expect(await store.write(points)).toMatchObject([{ index: 42, reason: 'too_large' }]);
    expect(await storedCount(store, site)).toBe(99);
  });

  it('refuses nothing when a batch is refused but its parts are not', async () => {
    const site = freshSite();
    const body = '{"code":"unprocessable entity","message":"partial write: dropped=1"}';
    proxy.decide = (lines) => (lines.length === 100 ? { status: 422, headers: json, body } : 'forward');
    expect(await store.write(readingsOf(site, 100))).toEqual([]);
    expect(await storedCount(store, site)).toBe(100);
  });

  it('gives up narrowing when the server goes away in the middle of it', async () => {
    const site = freshSite();
    const field = freshField();
    await store.write([point(telemetry(site, 'e'), baseUs, { [field]: 'text' })]);
    const points = [...readingsOf(site, 63), point(telemetry(site, 'd'), baseUs + 63, { [field]: 1 })];
    proxy.reset();
    proxy.decide = () => (proxy.writes.length <= 3 ? 'forward' : { status: 503 });
    await expect(store.write(points)).rejects.toThrow(StoreUnavailableError);
    proxy.reset();
    expect(await store.write(points)).toMatchObject([{ index: 63, reason: 'type_conflict' }]);
  });

  it('sends one request for a write, and a few more for a bad point', async () => {
    const field = freshField();
    const site = freshSite();
    await store.write(readingsOf(site, 2000, field));
    expect(proxy.writes).toHaveLength(1);
    proxy.reset();
    const points = readingsOf(site, 2000, field).map((one, i) =>
      i === 1234 ? { ...one, fields: { [field]: 'x' } } : one,
    );
    expect(await store.write(points)).toMatchObject([{ index: 1234 }]);
    expect(proxy.writes.length).toBeLessThanOrEqual(5);
  });

  it('sends one request for a backlog that is too old as a whole', async () => {
    const at = { ...telemetry(freshSite(), 'd'), bucket: 'rollup' as const };
    const points = Array.from({ length: 1000 }, (_, i) => point(at, baseUs + i, { count: i }));
    const refusals = await store.write(points);
    expect(refusals).toHaveLength(1000);
    expect(refusals[999]).toMatchObject({ index: 999, reason: 'beyond_retention' });
    expect(proxy.writes).toHaveLength(1);
  });

  it('finds any number of bad points with a few requests, and those of the next write with one more than without', async () => {
    const field = freshField();
    const site = freshSite();
    await store.write(readingsOf(site, 1, field));
    const bad = (i: number) => i % 5 === 2 || (i >= 300 && i < 500);
    const points = readingsOf(site, 1024, field).map((one, i) => (bad(i) ? { ...one, fields: { [field]: 'x' } } : one));
    const expected = points.map((_, i) => i).filter(bad);
    proxy.reset();
    expect((await store.write(points)).map(({ index }) => index)).toEqual(expected);
    expect(proxy.writes.length).toBeLessThanOrEqual(5);
    proxy.reset();
    expect((await store.write(points)).map(({ index }) => index)).toEqual(expected);
    expect(proxy.writes).toHaveLength(2);
    expect(await storedCount(store, site)).toBe(1024 - expected.length);
  });

  it('tells points that are too old from others once it has seen one', async () => {
    const at = { ...telemetry(freshSite(), 'd'), bucket: 'rollup' as const };
    const nowUs = Date.now() * 1000;
    const isOld = (i: number) => i % 3 === 1;
    const points = Array.from({ length: 999 }, (_, i) => point(at, (isOld(i) ? baseUs : nowUs) + i, { count: i }));
    const expected = points.map((_, i) => i).filter(isOld);
    expect((await store.write(points)).map(({ index }) => index)).toEqual(expected);
    proxy.reset();
    expect((await store.write(points)).map(({ index }) => index)).toEqual(expected);
    expect(proxy.writes).toHaveLength(2);
  });

  it('sends raw points before rollups', async () => {
    const raw = telemetry(freshSite(), 'd');
    const rollup = { ...raw, bucket: 'rollup' as const };
    const nowUs = Date.now() * 1000;
    await store.write([
      point(rollup, nowUs, { a: 1 }),
      point(raw, nowUs, { b: 1 }),
      point(rollup, nowUs + 1, { a: 2 }),
    ]);
    expect(proxy.writes.map((lines) => lines.map((line) => line.split(' ')[1]))).toEqual([['b=1'], ['a=1', 'a=2']]);
  });

  it('rejects when the answer is lost, and the same points can be written again', async () => {
    const site = freshSite();
    const points = readingsOf(site, 100);
    proxy.decide = () => 'lose the answer';
    await expect(store.write(points)).rejects.toThrow(StoreUnavailableError);
    proxy.reset();
    expect(await store.write(points)).toEqual([]);
    expect(await storedCount(store, site)).toBe(100);
  });

  it('compresses when told to', async () => {
    const zipped = new InfluxStore({ ...optionsFor(influx!), url, gzipAboveBytes: 1000 });
    await zipped.setup();
    const site = freshSite();
    expect(await zipped.write(readingsOf(site, 1000))).toEqual([]);
    expect(await zipped.write(readingsOf(site, 1))).toEqual([]);
    expect(proxy.compressed).toEqual([true, false]);
    expect(await storedCount(zipped, site)).toBe(1000);
    await zipped.close();
  });

  it('says in a ping which bucket is missing, and when the token is wrong', async () => {
    const options = optionsFor(influx!);
    const missing = new InfluxStore(options);
    await missing.start();
    await expect(missing.ping()).rejects.toThrow(options.rawBucket);
    await missing.close();
    const stranger = new InfluxStore({ ...options, token: 'wrong' });
    await expect(stranger.ping()).rejects.toThrow('401');
    await stranger.close();
  });

  it('leaves a bucket that exists as it is', async () => {
    const options = optionsFor(influx!);
    const first = new InfluxStore(options);
    expect(await first.setup()).toHaveLength(2);
    const second = new InfluxStore({
      ...options,
      rollupBucket: `${options.rollupBucket}2`,
      retention: { rawMs: hourMs, rollupMs: hourMs },
    });
    expect(await second.setup()).toEqual([`bucket ${options.rollupBucket}2, kept for 1 h`]);
    expect(await first.write(readingsOf(freshSite(), 1))).toEqual([]);
    await Promise.all([first.close(), second.close()]);
  });

  it('says at start what it cannot reach', async () => {
    const nowhere = new InfluxStore({ ...optionsFor(influx!), url: 'http://127.0.0.1:1', startTimeoutMs: 100 });
    const failed = await nowhere.start().catch((error: unknown) => error);
    expect(failed).toBeInstanceOf(StoreUnavailableError);
    expect((failed as Error).message).toContain('http://127.0.0.1:1');
    await nowhere.close();
  });
});

describe.skipIf(!process.env.INFLUXD_BIN)('the InfluxDB store and a server of its own', () => {
  let server: OwnInfluxServer;
  let proxy: InfluxProxy;
  let store: InfluxStore;

  beforeAll(async () => {
    const started = await startOwnInflux();
    if ('skip' in started) throw new Error(started.skip);
    server = started;
    proxy = new InfluxProxy(server.url);
    store = new InfluxStore({ ...optionsFor(server), url: await proxy.listen() });
    await store.start();
    await store.setup();
  });
  afterAll(async () => {
    await store?.close();
    await proxy?.close();
    await server?.close();
  });

  it('waits for a server that is stopped in a write, longer than any timeout of the client, and sends nothing twice', async () => {
    proxy.reset();
    const site = freshSite();
    let settled = false;
    process.kill(server.pid!, 'SIGSTOP');
    const writing = store.write(readingsOf(site, 1000)).finally(() => {
      settled = true;
    });
    try {
      await eventually(() => proxy.writes.length === 1, { what: 'the write at the server' });
      await expect(store.ping()).rejects.toThrow(StoreUnavailableError);
      // The client's default timeout is 10 s: that nothing happens can only be seen by waiting for longer.
      await delay(11_000);
      expect(settled).toBe(false);
    } finally {
      process.kill(server.pid!, 'SIGCONT');
    }
    expect(await writing).toEqual([]);
    expect(proxy.writes).toHaveLength(1);
    expect(await storedCount(store, site)).toBe(1000);
  });

  it('rejects when the server is killed in a write, and works again when it is back', async () => {
    const direct = new InfluxStore(optionsFor(server));
    await direct.start();
    await direct.setup();
    const site = freshSite();
    const points = readingsOf(site, 1000);
    await direct.write(points.slice(0, 500));

    process.kill(server.pid!, 'SIGSTOP');
    const writing = direct.write(points).catch((error: unknown) => error);
    await server.kill();
    expect(await writing).toBeInstanceOf(StoreUnavailableError);
    await expect(direct.write(points)).rejects.toThrow(StoreUnavailableError);
    await expect(direct.ping()).rejects.toThrow(StoreUnavailableError);

    await server.restart();
    expect(await storedCount(direct, site)).toBeGreaterThanOrEqual(500);
    expect(await direct.write(points)).toEqual([]);
    expect(await storedCount(direct, site)).toBe(1000);
    await direct.ping();
    await direct.close();
  });

  it('starts when the server comes within the time it has', async () => {
    await server.kill();
    const early = new InfluxStore({ ...optionsFor(server), startTimeoutMs: 60_000 });
    const starting = early.start();
    await server.restart();
    await starting;
    await early.close();
  });
});
