/** How soon a reading can be queried, measured on an HTTP server that answers as it is told. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { systemClock } from '../../core/clock.ts';
import { QueryableProbe } from '../../simulator/report/queryable.ts';
import { eventually } from '../support/eventually.ts';
import { freePort } from '../support/free-port.ts';

async function serve(answer: (request: IncomingMessage, response: ServerResponse) => void): Promise<string> {
  const server = createServer(answer).listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const reading = { site: 'north', device: 'room 1', seq: 3, timeMs: 1_700_000_000_123, fields: { temperature: 20 } };
const found = JSON.stringify({ points: [{ timeMs: reading.timeMs, value: 20 }] });

test('it asks for that reading until it is there, and counts from when it was to be sent', async () => {
  const asked: URL[] = [];
  const url = await serve((request, response) => {
    asked.push(new URL(request.url!, 'http://x'));
    response.end(asked.length < 4 ? '{"points":[]}' : found);
  });
  const probe = new QueryableProbe(url, systemClock);
  probe.acknowledged(reading, systemClock.nowMs() - 500);
  await eventually(() => probe.result().latencyMs !== null);
  await probe.close();
  expect(asked).toHaveLength(4);
  expect(asked[0]!.pathname).toBe('/api/history');
  expect(Object.fromEntries(asked[0]!.searchParams)).toEqual({
    site: 'north',
    device: 'room 1',
    field: 'temperature',
    from: '1700000000123',
    to: '1700000000124',
    limit: '1',
  });
  const { latencyMs, ...counts } = probe.result();
  expect(counts).toEqual({ sampled: 1, unseen: 0, errors: 0, lastError: null });
  // Half a second before the first question, and three pauses of a tenth each.
  expect(latencyMs!.max).toBeGreaterThan(640);
});

test('a sample is taken now and then, not of every reading', async () => {
  const probe = new QueryableProbe(await serve((_request, response) => response.end(found)), systemClock);
  for (let n = 0; n < 100; n++) probe.acknowledged(reading, systemClock.nowMs());
  await probe.close();
  expect(probe.result()).toMatchObject({ sampled: 1, unseen: 0 });
});

test.each([
  ['answers with an error', async () => serve((_request, response) => response.writeHead(503).end()), '503'],
  ['is not there', async () => `http://127.0.0.1:${await freePort()}`, 'fetch failed'],
  ['answers nonsense', async () => serve((_request, response) => response.end('<html>')), 'JSON'],
])('a pipeline that %s: the reading is unseen, and it says why', async (_what, url, why) => {
  const probe = new QueryableProbe(await url(), systemClock);
  probe.acknowledged(reading, systemClock.nowMs());
  await eventually(() => probe.result().errors > 0);
  await probe.close(0);
  expect(probe.result()).toMatchObject({ latencyMs: null, sampled: 1, unseen: 1 });
  expect(probe.result().lastError).toContain(why);
  await probe.close(0);
  probe.acknowledged(reading, systemClock.nowMs() + 10_000);
  expect(probe.result().sampled, 'it is closed').toBe(1);
});
