import { createServer } from 'node:net';
import { expect, test } from 'vitest';
import { systemClock } from '../../core/clock.ts';
import { silentLogger } from '../../core/log.ts';
import { WebServer } from '../../web/server.ts';
import { eventually } from '../support/eventually.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { openRig } from './harness.ts';

test('every role serves health; page and API only where they are asked for', async () => {
  const { get } = await openRig({ page: false });
  expect(await get('/healthz')).toMatchObject({ status: 200, body: { ok: true } });
  expect(await get('/readyz')).toMatchObject({
    status: 200,
    body: { ready: true, checks: { bus: { ok: true, error: null }, store: { ok: true, error: null } }, problems: [] },
  });
  expect((await get('/metrics')).status).toBe(200);
  for (const path of ['/', '/api/status', '/api/events', '/vendor/uplot/uPlot.esm.js']) {
    expect(await get(path), path).toMatchObject({ status: 404, body: { error: { code: 'NOT_FOUND' } } });
  }
});

test('readiness names what is down, and what the roles say', async () => {
  let fault: string | null = null;
  const clock = new ManualClock();
  const { get } = await openRig({
    clock,
    problems: () => (fault === null ? [] : ['gateway: holds as many messages as it may']),
    checks: {
      bus: async () => {
        if (fault !== null) throw new Error(fault);
      },
      store: async () => {},
    },
  });
  expect((await get('/readyz')).status).toBe(200);

  fault = 'no broker answers';
  clock.advance(1000);
  expect(await get('/readyz')).toMatchObject({
    status: 503,
    body: {
      ready: false,
      checks: { bus: { ok: false, error: 'no broker answers' }, store: { ok: true } },
      problems: ['bus: no broker answers', 'gateway: holds as many messages as it may'],
    },
  });
  expect((await get('/healthz')).status).toBe(200);

  fault = null;
  clock.advance(1000);
  expect((await get('/readyz')).status).toBe(200);
});

test('a dependency that hangs is said to hang after two seconds, and is asked once', async () => {
  const clock = new ManualClock();
  let asked = 0;
  const { get } = await openRig({
    clock,
    page: false,
    checks: {
      store: () => {
        asked++;
        return new Promise(() => {});
      },
    },
  });
  for (let time = 0; time < 3; time++) {
    const answer = get('/readyz');
    let done = false;
    void answer.finally(() => {
      done = true;
    });
    await eventually(() => {
      clock.advance(500);
      return done;
    });
    expect(await answer).toMatchObject({
      status: 503,
      body: { problems: ['store: no answer within 2000 ms'] },
    });
  }
  expect(asked).toBe(1);
});

test('many who ask at once cost one question', async () => {
  let asked = 0;
  const { get } = await openRig({
    page: false,
    clock: new ManualClock(),
    checks: {
      bus: async () => {
        asked++;
      },
    },
  });
  await Promise.all(Array.from({ length: 20 }, () => get('/readyz')));
  expect(asked).toBe(1);
});

test('a taken port is said with the fix; nothing stays open', async () => {
  const other = createServer();
  await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
  const address = other.address();
  if (address === null || typeof address === 'string') throw new Error('no address');
  const web = new WebServer({
    host: '127.0.0.1',
    port: address.port,
    instance: 'web-1',
    version: '1.2.3',
    clock: systemClock,
    log: silentLogger,
    checks: {},
    problems: () => [],
    status: () => [],
    pipeline: null,
  });
  await expect(web.start()).rejects.toMatchObject({
    code: 'LISTEN_FAILED',
    message: expect.stringMatching(new RegExp(`HTTP cannot listen on 127.0.0.1:${address.port}.*SLUICE_HTTP_PORT`)),
  });
  expect(() => web.address()).toThrow('does not listen');
  await web.close();
  other.close();
});

test('start and close are idempotent, and a connection kept alive does not delay the close', async () => {
  const { web, get } = await openRig();
  await web.start();
  await get('/healthz');
  const startedAt = performance.now();
  await Promise.all([web.close(), web.close()]);
  expect(performance.now() - startedAt).toBeLessThan(1000);
  await expect(get('/healthz')).rejects.toThrow();
});

test('until the bus has been read the API answers 503, and health answers', async () => {
  const { get, web } = await openRig({ started: false });
  expect((await get('/healthz')).status).toBe(200);
  const answer = await get('/api/status');
  expect(answer).toMatchObject({ status: 503, body: { error: { code: 'STARTING' } } });
  expect(answer.headers.get('retry-after')).toBe('1');
  expect(web.status()).toMatchObject({ role: 'web', ready: false });
  await web.view!.start();
  expect((await get('/api/status')).status).toBe(200);
  expect(web.status()).toMatchObject({ role: 'web', ready: true, problems: [] });
});

test('the page, the chart library and nothing else', async () => {
  const { get, url } = await openRig();
  const page = await get('/');
  expect(page.status).toBe(200);
  expect(page.headers.get('content-type')).toContain('text/html');
  expect(page.text).toContain('<title>Sluice</title>');
  expect((await get('/vendor/uplot/uPlot.esm.js')).headers.get('content-type')).toContain('javascript');
  expect((await get('/vendor/uplot/uPlot.min.css')).headers.get('content-type')).toContain('text/css');
  for (const path of ['/vendor/uplot/', '/vendor/uplot/uPlot.cjs.js', '/vendor/', '/..%2fserver.ts', '/server.ts']) {
    expect((await get(path)).status, path).toBe(404);
  }
  expect((await get('/%E0%A4%A')).status).toBe(400);
  const posted = await fetch(`${url}/api/status`, { method: 'POST', body: '{}' });
  expect(posted.status).toBe(404);
});

test('every answer carries the security headers; the page may run no script but its own', async () => {
  const { get } = await openRig();
  for (const path of ['/', '/healthz', '/api/status', '/nope', '/vendor/uplot/uPlot.esm.js']) {
    const { headers } = await get(path);
    expect(headers.get('content-security-policy'), path).toMatch(/default-src 'none'; script-src 'self';/);
    expect(headers.get('content-security-policy')).not.toMatch(/script-src[^;]*unsafe/);
    expect(headers.get('x-content-type-options')).toBe('nosniff');
    expect(headers.get('referrer-policy')).toBe('no-referrer');
  }
});
