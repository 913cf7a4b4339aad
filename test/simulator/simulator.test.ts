/** The fleet on real connections: what it reports as acknowledged, what it sends again, and what happens at its bounds. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { type Clock, systemClock } from '../../core/clock.ts';
import { silentLogger } from '../../core/log.ts';
import { faultSpec } from '../../simulator/faults/spec.ts';
import { type DeviceIdentity, type Fleet, identities } from '../../simulator/fleet.ts';
import { defaultSimulatorOptions, type SimulatorOptions } from '../../simulator/options.ts';
import { randomStream } from '../../simulator/random.ts';
import { constant } from '../../simulator/signals.ts';
import { type AcknowledgedReading, Simulator } from '../../simulator/simulator.ts';
import { Authority } from '../gateway/authority.ts';
import { defaults as gatewayDefaults, openGateway } from '../gateway/harness.ts';
import { eventually } from '../support/eventually.ts';
import { freePort } from '../support/free-port.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { RawBroker } from './raw-broker.ts';
import { testFleet } from './test-fleet.ts';

type Over = Partial<SimulatorOptions & Pick<Fleet, 'intervalMs' | 'profile'>> & { devices?: number };

/** A fleet stopped with its test; quick, so that tests are. */
function openFleet(broker: string, over: Over = {}, { clock = systemClock as Clock } = {}) {
  const { devices: count = 3, intervalMs = 5, profile, ...options } = over;
  const fleets = [testFleet({ count, intervalMs, ...(profile && { profile }) })];
  const acknowledged: AcknowledgedReading[] = [];
  const log = { ...silentLogger, warn: vi.fn(), info: vi.fn() };
  const fleet = new Simulator(
    { ...defaultSimulatorOptions, scenario: 'test', fleets, broker, reconnectMs: 20, maxReconnectMs: 40, ...options },
    { clock, log, run: 'r1', onAcknowledged: (reading) => void acknowledged.push(reading) },
  );
  onTestFinished(() => fleet.stop());
  return { fleet, acknowledged, log };
}

const names = (list: readonly AcknowledgedReading[]) => list.map(({ device, seq }) => `${device}/${seq}`).sort();
const payloads = (broker: RawBroker) => broker.received.map(({ payload }) => payload).sort();

test.each([1, 2] as const)('QoS %i: what is acknowledged is reported once, as it was sent', async (qos) => {
  const broker = await RawBroker.open();
  const { fleet, acknowledged } = openFleet(broker.url, { qos, limit: 60 });
  fleet.start();
  await fleet.finished;
  await fleet.stop();
  expect(fleet.stats()).toMatchObject({
    made: 60,
    sent: 60,
    acknowledged: 60,
    unacknowledged: 0,
    skipped: 0,
    resent: 0,
  });
  expect(new Set(names(acknowledged)).size).toBe(60);
  expect(broker.received.every((message) => message.qos === qos && !message.isDup)).toBe(true);
  for (const { site, device, seq, timeMs, fields } of acknowledged) {
    const message = broker.received.find(({ clientId, payload }) => {
      return clientId === `${device}-r1` && JSON.parse(payload).seq === seq;
    })!;
    expect(message.topic).toBe(`iot/${site}/${device}/telemetry`);
    expect(JSON.parse(message.payload)).toEqual({ ts: timeMs, seq, ...fields });
  }
  expect(broker.disconnects).toBe(3);
});

test('QoS 0: everything is written before it disconnects, and nothing counts as acknowledged', async () => {
  const broker = await RawBroker.open();
  const { fleet } = openFleet(broker.url, { qos: 0, limit: 60 });
  fleet.start();
  await fleet.finished;
  await fleet.stop();
  expect(fleet.stats()).toMatchObject({ sent: 60, acknowledged: 0, unacknowledged: 0, ackMs: null });
  await eventually(() => broker.received.length === 60);
});

test('what a lost connection leaves unacknowledged is sent again, with the same bytes, and reported once', async () => {
  const broker = await RawBroker.open();
  const random = randomStream('cuts');
  // One of seven is lost with its connection; one of eleven is taken, and its answer is lost.
  broker.onPublish = (answer, _message, cut) => {
    if (random() < 1 / 7) return cut();
    answer();
    if (random() < 1 / 11) cut();
  };
  const { fleet, acknowledged } = openFleet(broker.url, { limit: 300 });
  fleet.start();
  await fleet.finished;
  await fleet.stop();
  const { made, resent, reconnects, skipped } = fleet.stats();
  expect([acknowledged.length, new Set(names(acknowledged)).size, made, skipped]).toEqual([300, 300, 300, 0]);
  expect(reconnects).toBeGreaterThan(10);
  expect(resent).toBeGreaterThan(10);
  expect(new Set(payloads(broker)).size, 'a resend has the bytes of the first try').toBe(300);
  const firsts = new Set<string>();
  for (const { clientId, payload, isDup } of broker.received) {
    const name = `${clientId} ${payload}`;
    if (firsts.has(name)) expect(isDup, name).toBe(true);
    firsts.add(name);
  }
});

test('a broker that goes away for a while: messages wait, arrive in order, and their latency counts from their time', async () => {
  const broker = await RawBroker.open();
  const { fleet, acknowledged, log } = openFleet(broker.url, { devices: 1 });
  fleet.start();
  await eventually(() => acknowledged.length > 10);
  await broker.close();
  const before = fleet.stats();
  await eventually(() => fleet.stats().made > before.made + 100);
  expect(fleet.stats().connected).toBe(0);
  await broker.listen();
  await eventually(() => acknowledged.length > before.made + 100);
  await fleet.stop();
  const { made, ackMs, unacknowledged } = fleet.stats();
  expect(unacknowledged).toBe(0);
  expect(acknowledged.map(({ seq }) => seq)).toEqual(Array.from({ length: made }, (_, n) => n));
  expect(ackMs!.max, 'a hundred intervals of 5 ms').toBeGreaterThan(400);
  expect(log.warn, 'an outage is one line').toHaveBeenCalledTimes(1);
  expect(log.info).toHaveBeenCalledTimes(1);
});

test('no more are in flight than allowed, and answers let the others go', async () => {
  const broker = await RawBroker.open();
  const answers: (() => void)[] = [];
  broker.onPublish = (answer) => void answers.push(answer);
  const { fleet } = openFleet(broker.url, { devices: 1, maxInFlight: 3 });
  fleet.start();
  await eventually(() => fleet.stats().made >= 50);
  expect(answers).toHaveLength(3);
  expect(fleet.stats().sent).toBe(3);
  broker.onPublish = (answer) => answer();
  for (const answer of answers) answer();
  await fleet.stop();
  expect(fleet.stats().acknowledged).toBe(fleet.stats().made);
});

test('a device that holds all it may skips new messages, counts them, and leaves their numbers out', async () => {
  const port = await freePort();
  const { fleet, acknowledged, log } = openFleet(`mqtt://127.0.0.1:${port}`, { devices: 1, maxHeld: 5 });
  fleet.start();
  await eventually(() => fleet.stats().made >= 40);
  const { made, skipped, unacknowledged, everConnected, lastError } = fleet.stats();
  expect([unacknowledged, made - skipped, everConnected]).toEqual([5, 5, 0]);
  expect(lastError).toContain('ECONNREFUSED');
  expect(log.warn).toHaveBeenCalledExactlyOnceWith(expect.anything(), expect.stringContaining('cannot be reached'));
  const broker = await RawBroker.open(port);
  await eventually(() => acknowledged.length >= 10);
  await fleet.stop();
  const seqs = acknowledged.map(({ seq }) => seq);
  expect(seqs.slice(0, 5)).toEqual([0, 1, 2, 3, 4]);
  expect(seqs[5]).toBeGreaterThanOrEqual(40);
  expect(seqs).toHaveLength(fleet.stats().made - fleet.stats().skipped);
  expect(broker.received).toHaveLength(seqs.length);
});

test('QoS 0 waits for a socket that is full, within the bound', async () => {
  const broker = await RawBroker.open();
  const profile = () => ({ blob: constant('x'.repeat(256 * 1024)) });
  const { fleet } = openFleet(broker.url, { devices: 1, qos: 0, maxHeld: 20, profile });
  fleet.start();
  await eventually(() => broker.received.length > 0);
  broker.pause(true);
  // The buffers of the system take a while to fill.
  const isFull = () => fleet.stats().skipped > 20 && fleet.stats().unacknowledged === 20;
  await eventually(isFull, { what: 'the socket is full, and the device holds all it may' });
  broker.pause(false);
  await fleet.stop();
  const { sent, made, skipped } = fleet.stats();
  expect(sent).toBe(made - skipped);
  await eventually(() => broker.received.length === sent);
});

test('stop sends nothing new, waits for what is outstanding, and then disconnects', async () => {
  const broker = await RawBroker.open();
  const answers: (() => void)[] = [];
  broker.onPublish = (answer) => void answers.push(answer);
  const { fleet } = openFleet(broker.url);
  fleet.start();
  await eventually(() => answers.length > 20);
  let isStopped = false;
  const stopping = fleet.stop().then(() => {
    isStopped = true;
  });
  const { made } = fleet.stats();
  await eventually(() => answers.length === made);
  expect([isStopped, broker.disconnects]).toEqual([false, 0]);
  for (const answer of answers) answer();
  await stopping;
  expect(fleet.stats()).toMatchObject({ made, acknowledged: made, unacknowledged: 0, connected: 0 });
  await eventually(() => broker.connections === 0);
  expect(broker.disconnects).toBe(3);
});

test('stop gives up at its deadline and says what is left', async () => {
  const broker = await RawBroker.open();
  broker.onPublish = () => {};
  const { fleet } = openFleet(broker.url, { drainMs: 50, limit: 12 });
  fleet.start();
  await fleet.finished;
  await fleet.stop();
  expect(fleet.stats()).toMatchObject({ made: 12, acknowledged: 0, unacknowledged: 12 });
  await eventually(() => broker.connections === 0);
});

test('a refused CONNECT is an error and is tried again, with user and password', async () => {
  const broker = await RawBroker.open();
  broker.connack = 5;
  const credentials = { username: 'fleet', password: 'hunted' };
  const { fleet } = openFleet(broker.url, { devices: 1, credentials, limit: 3 });
  fleet.start();
  await eventually(() => fleet.stats().errors >= 3);
  expect(fleet.stats().lastError).toContain('Not authorized');
  expect(broker.password).toBe('hunted');
  broker.connack = 0;
  await fleet.finished;
  await fleet.stop();
  expect(fleet.stats()).toMatchObject({ acknowledged: 3, everConnected: 1 });
});

test('each device shows a certificate of its own', async () => {
  const authority = new Authority();
  onTestFinished(() => authority.remove());
  const fleets = [testFleet({ count: 2, sites: ['north'] })];
  for (const { site, device } of fleets.flatMap(identities)) authority.client(`${site}/${device}`);
  const tls = { ...gatewayDefaults.tls, port: 0, ...authority.server(), ca: authority.ca, requireClientCert: true };
  const { gateway, messages } = await openGateway({ tls });
  const certificate = ({ site, device }: DeviceIdentity) => ({
    cert: readFileSync(join(authority.folder, `${site}-${device}.crt`)),
    key: readFileSync(join(authority.folder, `${site}-${device}.key`)),
  });
  const own = { tls: { ca: readFileSync(authority.ca), certificate, insecure: false }, fleets, limit: 20 };
  const { fleet } = openFleet(`mqtts://127.0.0.1:${gateway.tlsAddress()!.port}`, own);
  fleet.start();
  await fleet.finished;
  await fleet.stop();
  expect(fleet.stats()).toMatchObject({ acknowledged: 20, errors: 0 });
  const told = new Set(messages().map(({ headers }) => headers['mqtt.topic']));
  expect([...told].sort()).toEqual(['iot/north/room-01/telemetry', 'iot/north/room-02/telemetry']);
  expect(gateway.status().closed).toEqual({});
});

test('a fleet ends by itself after its duration, and connects at its rate', async () => {
  const broker = await RawBroker.open();
  const clock = new ManualClock();
  const { fleet } = openFleet(
    broker.url,
    { devices: 10, connectRate: 5, durationMs: 10_000, intervalMs: 1000 },
    { clock },
  );
  let isFinished = false;
  fleet.start();
  void fleet.finished.then(() => {
    isFinished = true;
  });
  clock.advance(990);
  await eventually(() => fleet.stats().connected === 5);
  clock.advance(9000);
  await eventually(() => fleet.stats().connected === 10);
  expect(isFinished).toBe(false);
  clock.advance(20);
  await eventually(() => isFinished);
  const { made } = fleet.stats();
  clock.advance(5000);
  expect(fleet.stats().made).toBe(made);
});

test('same seed, same bytes, whatever happens to the connections', async () => {
  const run = async (seed: number, isCut: boolean) => {
    const broker = await RawBroker.open();
    const clock = new ManualClock();
    const { fleet, acknowledged } = openFleet(broker.url, { seed, intervalMs: 250, limit: 200 }, { clock });
    fleet.start();
    clock.advance(10);
    await eventually(() => fleet.stats().connected === 3);
    clock.advance(4000);
    if (isCut) broker.cut();
    clock.advance(26_000);
    await eventually(() => {
      clock.advance(20);
      return acknowledged.length === 200;
    });
    await fleet.stop();
    return [...new Set(payloads(broker))];
  };
  const bytes = await run(1, false);
  expect(bytes).toHaveLength(200);
  expect(await run(1, true)).toEqual(bytes);
  expect(await run(2, false)).not.toEqual(bytes);
});

test('the past is sent as fast as it is taken, in order and without a gap, and then the present on time', async () => {
  const broker = await RawBroker.open();
  const backfillMs = 5000;
  const beganMs = Date.now();
  const over = { devices: 2, backfillMs, maxInFlight: 5, maxHeld: 8, limit: 2600 };
  const { fleet, acknowledged } = openFleet(broker.url, over);
  fleet.start();
  await fleet.finished;
  await fleet.stop();
  expect(fleet.stats()).toMatchObject({ made: 2600, acknowledged: 2600, skipped: 0 });
  for (const own of Map.groupBy(acknowledged, ({ device }) => device).values()) {
    expect(own.map(({ seq }) => seq)).toEqual(own.map((_, n) => n));
    expect(own[0]!.timeMs - beganMs).toBeLessThan(-backfillMs + 500);
    expect(own.at(-1)!.timeMs).toBeGreaterThan(beganMs);
    expect(own.at(-1)!.timeMs).toBeLessThanOrEqual(Date.now());
  }
});

test('what is held back goes out after the next one', async () => {
  const broker = await RawBroker.open();
  const { fleet } = openFleet(broker.url, {
    devices: 1,
    limit: 7,
    faults: [faultSpec.parse({ fault: 'network.reorder' })],
  });
  fleet.start();
  await fleet.finished;
  await fleet.stop();
  expect(broker.received.map(({ payload }) => JSON.parse(payload).seq)).toEqual([1, 0, 3, 2, 5, 4, 6]);
});

test('faults on the way: copies and what was delayed arrive, the lost do not, the oversized only once', async () => {
  const broker = await RawBroker.open();
  broker.onPublish = (answer, { payload }, cut) => (payload.length > 1024 ? cut() : answer());
  const faults = [
    { fault: 'network.duplicate', probability: '10%' },
    { fault: 'network.reorder', probability: '10%' },
    { fault: 'network.delay', probability: '5%', by: 30 },
    { fault: 'network.loss', probability: '10%' },
    { fault: 'payload.oversized', probability: '1%', bytes: 1024 },
  ].map((spec) => faultSpec.parse(spec));
  const { fleet } = openFleet(broker.url, { devices: 2, limit: 600, faults });
  fleet.start();
  await fleet.finished;
  await fleet.stop();
  const { copies, lostOnPurpose, refused, acknowledged, unacknowledged, skipped, faults: hit } = fleet.stats();
  expect([unacknowledged, skipped]).toEqual([0, 0]);
  expect(acknowledged).toBe(600 + copies - lostOnPurpose - refused);
  expect(lostOnPurpose).toBe(hit['network.loss']);
  for (const count of [copies, lostOnPurpose, refused]) expect(count).toBeGreaterThan(0);
  expect(broker.received.filter(({ payload, isDup }) => payload.length > 1024 && isDup)).toEqual([]);
});
