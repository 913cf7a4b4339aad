/** A device's connection against a broker that answers only as it is told. */
import { expect, onTestFinished, test } from 'vitest';
import type { Clock } from '../../core/clock.ts';
import { Connection, type ConnectionSettings } from '../../simulator/connection.ts';
import { dialTo } from '../../simulator/endpoint.ts';
import type { Message } from '../../simulator/message.ts';
import type { Tls } from '../../simulator/options.ts';
import { Outbox } from '../../simulator/outbox.ts';
import { Schedule } from '../../simulator/schedule.ts';
import { eventually } from '../support/eventually.ts';
import { freePort } from '../support/free-port.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { certificates } from './certificates.ts';
import { RawBroker } from './raw-broker.ts';

function message(seq: number, over: Partial<Message> = {}): Message {
  return {
    seq,
    timeMs: seq,
    topic: 'iot/north/room-1/telemetry',
    payload: `{"seq":${seq}}`,
    reading: null,
    faults: [],
    expect: { as: 'stored' },
    copies: 1,
    delayMs: 0,
    isHeldBack: false,
    isByIntruder: false,
    ...over,
  };
}

const room = { fleet: 'rooms', site: 'north', device: 'room-1', index: 0 };

interface Surroundings {
  readonly tls?: Tls;
  readonly random?: () => number;
}

/** One device on a clock that only the test moves; `run` lets real I/O happen meanwhile. */
function openDevice(
  broker: string,
  over: Partial<ConnectionSettings> = {},
  { tls, random = () => 1 }: Surroundings = {},
) {
  const clock = new ManualClock();
  const schedule = new Schedule();
  const ticking: Clock = clock;
  ticking.every(5, () => schedule.runDue(clock.nowMs()));
  const seen = {
    connects: [] as { isFirst: boolean; connectMs: number }[],
    lost: [] as string[],
    sent: [] as string[],
    acknowledged: [] as number[],
    givenUp: [] as number[],
  };
  const outbox = new Outbox(10, 100, (transmission) => seen.givenUp.push(transmission.message.seq));
  const connection = new Connection(
    {
      dial: dialTo(broker, tls ?? null)(room),
      credentials: null,
      clientId: 'room-1',
      clean: true,
      will: null,
      qos: 1,
      keepaliveSeconds: 60,
      connectTimeoutMs: 5000,
      reconnectMs: 1000,
      maxReconnectMs: 8000,
      isReopened: true,
      ...over,
    },
    outbox,
    {
      connected: (isFirst, connectMs) => seen.connects.push({ isFirst, connectMs }),
      lost: (_wasOpen, reason) => seen.lost.push(reason),
      sent: (transmission, isResend) => seen.sent.push(`${transmission.message.seq}${isResend ? ' again' : ''}`),
      acknowledged: (transmission) => seen.acknowledged.push(transmission.message.seq),
    },
    { nowMs: () => clock.nowMs(), at: (atMs, task) => schedule.add(atMs, task) },
    random,
  );
  onTestFinished(async () => {
    const closing = connection.close();
    connection.destroy();
    await closing;
  });
  const send = (...messages: Message[]) => {
    for (const one of messages) outbox.add(one, clock.nowMs());
    connection.pump();
  };
  return { clock, connection, seen, send };
}

const sequence = (broker: RawBroker) => broker.received.map(({ id, isDup }) => `${id}${isDup ? ' dup' : ''}`);

test('a persistent session that the broker resumes: the same packet ids with DUP, and nothing else twice', async () => {
  const broker = await RawBroker.open();
  broker.onPublish = (answer, { id }) => void (id === 2 && answer());
  const { connection, seen, send } = openDevice(broker.url, { clean: false });
  connection.open();
  await eventually(() => seen.connects.length === 1);
  send(message(0), message(1), message(2));
  await eventually(() => seen.acknowledged.length === 1);
  broker.sessionPresent = true;
  broker.onPublish = (answer) => answer();
  connection.stall();
  connection.abandon();
  send(message(3));
  await eventually(() => seen.acknowledged.length === 4);
  expect(broker.connects.map(({ clean }) => clean)).toEqual([false, false]);
  expect(sequence(broker)).toEqual(['1', '2', '3', '1 dup', '3 dup', '4']);
  expect(seen.acknowledged).toEqual([1, 0, 2, 3]);
  expect(seen.sent).toEqual(['0', '1', '2', '0 again', '2 again', '3']);
});

test('a persistent session that the broker has forgotten: all again, under new packet ids', async () => {
  const broker = await RawBroker.open();
  broker.onPublish = () => {};
  const { connection, seen, send } = openDevice(broker.url, { clean: false });
  connection.open();
  await eventually(() => seen.connects.length === 1);
  send(message(0), message(1));
  await eventually(() => broker.received.length === 2);
  broker.onPublish = (answer) => answer();
  connection.stall();
  connection.abandon();
  await eventually(() => seen.acknowledged.length === 2);
  expect(sequence(broker)).toEqual(['1', '2', '3 dup', '4 dup']);
});

test('QoS 2 in a resumed session: what the broker has taken is released, not sent again', async () => {
  const broker = await RawBroker.open();
  broker.isAlive = false;
  broker.onPublish = (answer, { id }) => void (id === 1 && answer());
  const { connection, seen, send } = openDevice(broker.url, { clean: false, qos: 2 });
  connection.open();
  await eventually(() => seen.connects.length === 1);
  send(message(0), message(1));
  await eventually(() => broker.released.length === 1);
  broker.isAlive = true;
  broker.sessionPresent = true;
  broker.onPublish = (answer) => answer();
  connection.stall();
  connection.abandon();
  await eventually(() => seen.acknowledged.length === 2);
  expect(sequence(broker)).toEqual(['1', '2', '2 dup']);
  expect(broker.released).toEqual([1, 1, 2]);
  expect(seen.sent).toEqual(['0', '1', '1 again']);
});

test('what the broker has to refuse is given up with its connection, also in a resumed session', async () => {
  const broker = await RawBroker.open();
  broker.onPublish = (_answer, _message, cut) => cut();
  const { clock, connection, seen, send } = openDevice(broker.url, { clean: false });
  connection.open();
  await eventually(() => seen.connects.length === 1);
  send(message(0, { expect: { as: 'refused_by_broker' } }), message(1));
  await eventually(() => seen.lost.length === 1);
  broker.sessionPresent = true;
  broker.onPublish = (answer) => answer();
  clock.advance(1000);
  await eventually(() => seen.acknowledged.length === 1);
  expect(seen.acknowledged).toEqual([1]);
  expect(seen.givenUp).toEqual([0]);
});

test('a will, a user and a keepalive are in the CONNECT', async () => {
  const broker = await RawBroker.open();
  const will = { topic: 'iot/north/room-1/status', payload: 'gone', qos: 1, retain: true } as const;
  const credentials = { username: 'fleet', password: 'hünted' };
  const { connection, seen } = openDevice(broker.url, { will, credentials, keepaliveSeconds: 300 });
  connection.open();
  await eventually(() => seen.connects.length === 1);
  expect(broker.connects[0]).toMatchObject({
    clientId: 'room-1',
    protocolId: 'MQTT',
    protocolVersion: 4,
    clean: true,
    keepalive: 300,
    username: 'fleet',
    password: Buffer.from('hünted'),
    will: { ...will, payload: Buffer.from('gone') },
  });
});

test('the pause before each attempt doubles up to its bound, and is up to half shorter by chance', async () => {
  const port = await freePort();
  const draws = [1, 0, 0.5, 1, 1];
  const { clock, connection, seen } = openDevice(
    `mqtt://127.0.0.1:${port}`,
    {},
    { random: () => draws[seen.lost.length - 1]! },
  );
  connection.open();
  for (const [failures, pauseMs] of [1000, 1000, 3000, 8000].entries()) {
    await eventually(() => seen.lost.length === failures + 1);
    expect(seen.lost.at(-1)).toContain('ECONNREFUSED');
    clock.advance(pauseMs - 5);
    const broker = await RawBroker.open(port);
    expect(broker.connections).toBe(0);
    await broker.close();
    clock.advance(5);
  }
  await eventually(() => seen.lost.length === 5);
});

test('connect latency counts from when the connection was to be opened, each time', async () => {
  const broker = await RawBroker.open();
  const { clock, connection, seen } = openDevice(broker.url);
  connection.open(clock.nowMs() - 70);
  await eventually(() => seen.connects.length === 1);
  broker.cut();
  await eventually(() => seen.lost.length === 1);
  // The pause is a second; what comes after it is late.
  clock.advance(1002);
  clock.advance(3);
  await eventually(() => seen.connects.length === 2);
  expect(seen.connects).toEqual([
    { isFirst: true, connectMs: 70 },
    { isFirst: false, connectMs: 5 },
  ]);
});

test('silence is answered with PINGREQ, and a broker that says nothing any more is left', async () => {
  const broker = await RawBroker.open();
  const { clock, connection, seen } = openDevice(broker.url, { keepaliveSeconds: 10 });
  connection.open();
  await eventually(() => seen.connects.length === 1);
  clock.advance(5000);
  await eventually(() => broker.pings === 1);
  clock.advance(5000);
  await eventually(() => broker.pings === 2);
  expect(seen.lost).toEqual([]);
  broker.isAlive = false;
  clock.advance(5000);
  await eventually(() => broker.pings === 3);
  clock.advance(10_000);
  expect(seen.lost).toEqual([]);
  clock.advance(5000);
  expect(seen.lost).toEqual(['no answer for 10 s']);
  broker.isAlive = true;
  clock.advance(1000);
  await eventually(() => seen.connects.length === 2);
});

test('a CONNECT without an answer fails after its time', async () => {
  const broker = await RawBroker.open();
  broker.connack = null;
  const { clock, connection, seen } = openDevice(broker.url);
  connection.open();
  await eventually(() => broker.connects.length === 1);
  clock.advance(4990);
  expect(seen.lost).toEqual([]);
  clock.advance(10);
  expect(seen.lost).toEqual(['no CONNACK within 5000 ms']);
  broker.connack = 0;
  clock.advance(1000);
  await eventually(() => seen.connects.length === 1);
});

test.each([
  ['a packet for subscribers', Buffer.from([0x30, 3, 0, 1, 97]), 'packet type 3, 3 bytes'],
  ['an acknowledgement of the wrong length', Buffer.from([0x40, 3, 0, 1, 0]), 'packet type 4, 3 bytes'],
])('%s ends the connection', async (_what, bytes, reason) => {
  const broker = await RawBroker.open();
  const { connection, seen } = openDevice(broker.url);
  connection.open();
  await eventually(() => seen.connects.length === 1);
  broker.say(bytes);
  await eventually(() => seen.lost.length === 1);
  expect(seen.lost[0]).toContain(reason);
});

test('answers in pieces, and for nothing, are taken as they come', async () => {
  const broker = await RawBroker.open();
  broker.onPublish = () => {};
  const { connection, seen, send } = openDevice(broker.url);
  connection.open();
  await eventually(() => seen.connects.length === 1);
  send(message(0), message(1));
  await eventually(() => broker.received.length === 2);
  for (const byte of [0x40, 2, 0, 9, 0x40, 2, 0, 1, 0xd0, 0, 0x40, 2, 0, 2]) {
    broker.say(Buffer.from([byte]));
    await new Promise((resolve) => setImmediate(resolve));
  }
  await eventually(() => seen.acknowledged.length === 2);
  expect(seen).toMatchObject({ acknowledged: [0, 1], lost: [] });
});

test('a device that goes offline opens nothing until it is online, and then at once', async () => {
  const broker = await RawBroker.open();
  const { clock, connection, seen } = openDevice(broker.url);
  connection.open();
  await eventually(() => seen.connects.length === 1);
  connection.goOffline();
  expect(seen.lost).toEqual(['cut on purpose']);
  await eventually(() => broker.connections === 0);
  clock.advance(60_000);
  expect(broker.connects).toHaveLength(1);
  connection.goOnline();
  await eventually(() => seen.connects.length === 2);
});

test('a connection that is left open stays so at the broker until the device is closed', async () => {
  const broker = await RawBroker.open();
  const { connection, seen } = openDevice(broker.url);
  connection.open();
  await eventually(() => seen.connects.length === 1);
  connection.stall();
  connection.abandon();
  await eventually(() => seen.connects.length === 2);
  expect(broker.connections).toBe(2);
  expect(broker.disconnects).toBe(0);
  await connection.close();
  await eventually(() => broker.connections === 0);
  expect(broker.disconnects).toBe(1);
});

const anyone = { ca: null, certificate: null, insecure: false };

test('TLS: a broker of a known authority, and a device with a certificate of its own', async () => {
  const { ca, server, client } = certificates();
  const broker = await RawBroker.open(0, { ...server, ca, requestCert: true, rejectUnauthorized: true });
  const { connection, seen, send } = openDevice(broker.url, {}, { tls: { ...anyone, certificate: client, ca } });
  connection.open();
  await eventually(() => seen.connects.length === 1, { what: seen.lost.join() });
  send(message(0));
  await eventually(() => seen.acknowledged.length === 1);
});

test('TLS: an unknown authority is refused, unless that is allowed', async () => {
  const { server } = certificates();
  const broker = await RawBroker.open(0, server);
  const strict = openDevice(broker.url, {}, { tls: anyone });
  strict.connection.open();
  await eventually(() => strict.seen.lost.length === 1);
  expect(strict.seen.lost[0]).toMatch(/self-signed|unable to verify/);
  const trusting = openDevice(broker.url, {}, { tls: { ...anyone, insecure: true } });
  trusting.connection.open();
  await eventually(() => trusting.seen.connects.length === 1);
});

test('TLS: what is no certificate is wrong usage', () => {
  const tls = { ...anyone, certificate: { cert: Buffer.from('nonsense'), key: Buffer.from('nonsense') } };
  expect(() => dialTo('mqtts://127.0.0.1', tls)).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }));
});
