import { once } from 'node:events';
import { connect } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import type { Overview } from '../../web/api.ts';
import { type EventStream, openEventStream } from '../support/event-stream.ts';
import { eventually } from '../support/eventually.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { withMethods } from '../support/with-methods.ts';
import {
  alertOf,
  gatewayStatus,
  openRig,
  openStore,
  outage,
  storeReading,
  tell,
  tellStatus,
  topics,
} from './harness.ts';

async function listen(url: string): Promise<EventStream> {
  const { response, stream } = await openEventStream(`${url}/api/events`);
  onTestFinished(() => stream.leave());
  expect(response.status).toBe(200);
  expect(response.headers.get('content-type')).toBe('text/event-stream; charset=utf-8');
  expect(response.headers.get('cache-control')).toBe('no-store');
  expect(response.headers.get('content-security-policy')).toContain("default-src 'none'");
  return stream;
}

test('a new client gets everything there is: status, devices, then the alerts, oldest first', async () => {
  const { bus, store, url } = await openRig();
  await storeReading(store, 'a', Date.now(), { temperature: 20 });
  await tellStatus(bus, gatewayStatus('g', Date.now(), { received: 3, appended: 3 }));
  for (const minute of [2, 1, 3]) {
    await tell(
      bus,
      topics.alertsState,
      `f${minute}`,
      alertOf(`f${minute}`, { startsAt: `2026-01-01T00:0${minute}:00Z` }),
    );
  }
  const stream = await listen(url);
  await eventually(() => stream.events.length >= 5);
  expect(stream.events.slice(0, 5).map(({ name }) => name)).toEqual(['status', 'devices', 'alert', 'alert', 'alert']);
  expect(stream.of('status')[0]).toMatchObject({ totals: { received: 3 } });
  expect(stream.of('devices')[0]).toMatchObject({ devices: [{ device: 'a', fields: { temperature: 20 } }] });
  expect(stream.of('alert').map((alert) => (alert as { device: string }).device)).toEqual(['f1', 'f2', 'f3']);
});

test('once a second a status, and the devices that changed', async () => {
  const clock = new ManualClock();
  const { store, url } = await openRig({ clock });
  await storeReading(store, 'a', clock.nowMs(), { temperature: 20 });
  await storeReading(store, 'b', clock.nowMs(), { temperature: 30 });
  const stream = await listen(url);
  await eventually(() => stream.of('devices').length === 1);

  await storeReading(store, 'a', clock.nowMs() + 500, { temperature: 21 });
  await storeReading(store, 'a', clock.nowMs() + 600, { temperature: 22 });
  clock.advance(1000);
  await eventually(() => stream.of('devices').length === 2);
  expect(stream.of('devices')[1]).toMatchObject({ devices: [{ device: 'a', fields: { temperature: 22 } }] });
  expect(stream.of('status')).toHaveLength(2);

  clock.advance(1000);
  await eventually(() => stream.of('status').length === 3);
  expect(stream.of('devices')).toHaveLength(2);
});

test('an alert is told at once, and a repeat is not', async () => {
  const clock = new ManualClock();
  const { bus, url } = await openRig({ clock });
  const stream = await listen(url);
  await eventually(() => stream.events.length >= 2);
  await tell(bus, topics.alertsState, 'a', alertOf('a'));
  await tell(bus, topics.alerts, 'a', alertOf('a'));
  await tell(bus, topics.alertsState, 'a', alertOf('a'));
  await tell(bus, topics.alerts, 'a', alertOf('a', { seq: 2, status: 'resolved' }));
  await tell(bus, topics.alertsState, 'a', null);
  await eventually(() => stream.of('alert').length >= 2);
  expect(stream.of('alert')).toMatchObject([{ status: 'firing' }, { status: 'resolved' }]);
});

test('with the store out the status still comes each second, and names it', async () => {
  const clock = new ManualClock();
  const out = outage(await openStore());
  const { url } = await openRig({ clock, store: out.store });
  out.isDown = true;
  const stream = await listen(url);
  await eventually(() => {
    clock.advance(1000);
    const newest = stream.of('status').at(-1) as Overview | undefined;
    return newest?.problems.includes('store: the store does not answer');
  });
  out.isDown = false;
  await storeReading(out.store, 'a', clock.nowMs(), { temperature: 20 });
  await eventually(() => {
    clock.advance(1000);
    return stream.of('devices').length >= 2;
  });
});

test('nobody listening costs the store nothing', async () => {
  const clock = new ManualClock();
  let asked = 0;
  const store = await openStore();
  const counting = withMethods(store, {
    newest: (sinceMs, limit) => {
      asked++;
      return store.newest(sinceMs, limit);
    },
  });
  const { url } = await openRig({ clock, store: counting });
  clock.advance(10_000);
  expect(asked).toBe(0);
  const stream = await listen(url);
  await eventually(() => asked === 1);
  stream.leave();
  await stream.ended;
  const before = asked;
  await eventually(async () => {
    clock.advance(1000);
    await new Promise((resolve) => setImmediate(resolve));
    const then = asked;
    clock.advance(5000);
    return asked === then;
  });
  expect(asked - before).toBeLessThanOrEqual(2);
});

test('the number of clients is bounded, with a place free again when one leaves', async () => {
  const { url, get } = await openRig();
  const streams = [];
  for (let i = 0; i < 100; i++) streams.push(await listen(url));
  const refused = await get('/api/events');
  expect(refused).toMatchObject({ status: 503, body: { error: { code: 'TOO_MANY_STREAMS' } } });
  expect(refused.headers.get('retry-after')).toBe('5');
  expect((await get('/api/status')).status).toBe(200);
  streams[0]!.leave();
  await eventually(() => listen(url));
});

test('a client that does not read is closed at the bound and counted; the others go on', async () => {
  const clock = new ManualClock();
  const { bus, url, web, get } = await openRig({ clock });
  await openSlowClient(web.address().port);
  const quick = await listen(url);
  const metric = async (name: string) => {
    const { text } = await get('/metrics');
    return Number(new RegExp(`^sluice_web_event_streams${name} (\\d+)$`, 'm').exec(text)?.[1]);
  };
  expect([await metric(''), await metric('_too_slow_total')]).toEqual([2, 0]);
  // What a process says may be long: half a megabyte each second.
  const wordy = gatewayStatus('g', clock.nowMs(), {}, { problems: ['x'.repeat(500_000)], ready: false });
  for (let second = 0; (await metric('_too_slow_total')) === 0; second++) {
    expect(second, 'seconds that a client may not read').toBeLessThan(60);
    await tellStatus(bus, { ...wordy, atMs: clock.nowMs() });
    const told = quick.of('status').length;
    clock.advance(1000);
    await eventually(() => quick.of('status').length > told);
  }
  expect([await metric(''), await metric('_too_slow_total')]).toEqual([1, 1]);
});

/** Asks for the events and never reads them. */
async function openSlowClient(port: number): Promise<void> {
  const socket = connect(port, '127.0.0.1');
  onTestFinished(() => {
    socket.destroy();
  });
  socket.on('error', () => {});
  await once(socket, 'connect');
  socket.write('GET /api/events HTTP/1.1\r\nHost: x\r\n\r\n');
  await once(socket, 'readable');
}

test('closing the server ends every stream', async () => {
  const { url, web } = await openRig();
  const streams = [await listen(url), await listen(url)];
  const startedAt = performance.now();
  await web.close();
  await Promise.all(streams.map(({ ended }) => ended));
  expect(performance.now() - startedAt).toBeLessThan(1000);
});
