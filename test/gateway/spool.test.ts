import { describe, expect, it } from 'vitest';
import type { BusRecord } from '../../bus/port.ts';
import { resolveConfig } from '../../core/config.ts';
import { SluiceError } from '../../core/errors.ts';
import { headers } from '../../core/topics.ts';
import { Topology } from '../../processors/topology.ts';
import { eventually } from '../support/eventually.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { MemoryBus } from '../support/memory-bus.ts';
import { withMethods } from '../support/with-methods.ts';
import { counters, type Opened, openGateway, payloads, raw, topics } from './harness.ts';
import { connectPacket, publishPacket, RawClient, type } from './raw-client.ts';
import { messages, spoolFile } from './spool-fixture.ts';

const numbers = (count: number, from = 1) => Array.from({ length: count }, (_, i) => from + i);
const spoolOf = ({ gateway }: Opened) => gateway.status().spool!;
const drained = (opened: Opened) =>
  eventually(() => spoolOf(opened).records === 0 && opened.gateway.status().ledger.held === 0, { what: 'drained' });

/** Of the messages of each key, in the order of the log. */
function byKey(records: readonly BusRecord[]): Record<string, number[]> {
  const keys = Map.groupBy(records, ({ key }) => key);
  return Object.fromEntries([...keys].map(([key, own]) => [key, own.map(({ value }) => JSON.parse(`${value}`).seq)]));
}

/** Copies of what was there before left out. */
function isInOrder(records: readonly BusRecord[]): void {
  const seen = new Set<string | undefined>();
  const first = records.filter(({ headers: { [headers.ingestId]: id } }) => !seen.has(id) && seen.add(id));
  for (const numbersOf of Object.values(byKey(first))) expect(numbersOf).toEqual(numbersOf.toSorted((a, b) => a - b));
}

/** What a processor makes of the log: of each message the first copy counts, and nothing is taken for one that is not. */
function ledgersOf(records: readonly BusRecord[]): { messages: number; redelivered: number } {
  const sum = { messages: 0, redelivered: 0 };
  for (const own of Map.groupBy(records, ({ partition }) => partition).values()) {
    const topology = new Topology(resolveConfig({ env: {}, flags: {}, readText: () => '' }).processing, [], 0);
    for (const record of own) topology.process(record);
    sum.messages += topology.ledger.messages;
    sum.redelivered += topology.ledger.redelivered;
  }
  return sum;
}

describe('While the bus stalls', () => {
  it('acknowledges what is on the disk, stays ready, and appends it in order when the bus is back', async () => {
    const opened = await openGateway({}, { spool: (await spoolFile())() });
    const { bus, connect, gateway, messages: appended } = opened;
    const hold = bus.hold(raw);
    const client = await connect();
    client.send(...messages(30));
    expect(await client.received(type.puback, 30)).toEqual(numbers(30));
    client.send(...messages(30, { from: 31 }));
    expect(await client.received(type.puback, 60)).toEqual(numbers(60));
    expect(appended()).toEqual([]);
    expect(gateway.ready()).toEqual([]);
    expect(gateway.status().ledger).toMatchObject({ received: 60, appended: 0, spooled: 60, held: 0 });
    expect(spoolOf(opened)).toMatchObject({ records: 60, spooled: 60, drained: 0 });
    expect(spoolOf(opened).bytes).toBeGreaterThan(60 * 50);
    hold.release();
    await drained(opened);
    expect(
      counters(appended()).sort((a, b) => a - b),
      'each once',
    ).toEqual(numbers(60));
    expect(byKey(appended())['lab/d1']).toEqual(numbers(20).map((n) => n * 3 - 2));
    expect(gateway.status().ledger).toMatchObject({ received: 60, appended: 60, spooled: 0 });
    expect(spoolOf(opened)).toMatchObject({ records: 0, bytes: 0, oldestMs: null, drained: 60 });
  });

  it('keeps id and time of each message', async () => {
    const clock = new ManualClock();
    const takenAtMs = clock.nowMs();
    const opened = await openGateway({ lingerMs: 0 }, { clock, spool: (await spoolFile())({ afterMs: 5000 }) });
    const { bus, connect, received, messages: appended } = opened;
    const hold = bus.hold(raw);
    const client = await connect();
    client.send(...messages(3));
    await received(3);
    await eventually(() => hold.waiting.length === 1);
    clock.advance(4999);
    await client.ping();
    expect(client.ids(type.puback), 'not before').toEqual([]);
    clock.advance(1);
    await client.received(type.puback, 3);
    expect(spoolOf(opened).oldestMs).toBe(takenAtMs);
    clock.advance(60_000);
    hold.release();
    await drained(opened);
    expect(counters(appended()).sort()).toEqual([1, 2, 3]);
    for (const { timestampMs } of appended()) expect(timestampMs).toBe(takenAtMs);
  });

  it('lets new messages queue behind the spool, and go straight once it is empty, though they never pause', async () => {
    const opened = await openGateway({}, { spool: (await spoolFile())() });
    const { bus, connect, messages: appended } = opened;
    const stopFailing = bus.fail(raw);
    const client = await connect();
    client.send(...messages(500));
    await client.received(type.puback, 500);
    bus.delay(3, raw);
    stopFailing();
    let sent = 500;
    let mark = { spooled: 0, acknowledged: 0 };
    await eventually(
      () => {
        client.send(...messages(5, { from: sent + 1 }));
        sent += 5;
        const now = { spooled: spoolOf(opened).spooled, acknowledged: client.ids(type.puback).length };
        if (now.spooled !== mark.spooled) mark = now;
        return now.acknowledged - mark.acknowledged > 100;
      },
      { everyMs: 1, what: 'a hundred go straight to the bus' },
    );
    await client.received(type.puback, sent);
    expect(spoolOf(opened).records).toBe(0);
    expect(ledgersOf(appended())).toEqual({ messages: sent, redelivered: 0 });
    isInOrder(appended());
  });

  it('appends once more, under the same id, what landed without an answer', async () => {
    const opened = await openGateway({}, { spool: (await spoolFile())() });
    const { bus, connect, messages: appended } = opened;
    const stopFailing = bus.fail(raw, { landed: true });
    const client = await connect();
    client.send(...messages(10));
    await client.received(type.puback, 10);
    stopFailing();
    await drained(opened);
    expect(appended().length).toBeGreaterThan(10);
    expect(ledgersOf(appended())).toEqual({ messages: 10, redelivered: appended().length - 10 });
  });

  it('spools the lane that stalls, and no other', async () => {
    const opened = await openGateway({}, { lanes: 2, spool: (await spoolFile())() });
    const { bus, connect, messages: appended } = opened;
    const hold = bus.hold((topic, records) => raw(topic) && records[0]!.partition! % 2 === 0);
    const client = await connect();
    client.send(...messages(200, { devices: numbers(20).map((n) => `d${n}`) }));
    await client.received(type.puback, 200);
    const { records } = spoolOf(opened);
    expect(records).toBeGreaterThan(0);
    expect(appended().length).toBe(200 - records);
    for (const { partition } of appended()) expect(partition % 2).toBe(1);
    hold.release();
    await drained(opened);
    expect(ledgersOf(appended())).toEqual({ messages: 200, redelivered: 0 });
  });

  it('lets no time pass for messages that wait: no tick until they are on the bus', async () => {
    const clock = new ManualClock();
    const spool = (await spoolFile())({ afterMs: 5000 });
    const opened = await openGateway({ tickAfterMs: 2000, lingerMs: 0 }, { clock, spool });
    const { bus, connect, received } = opened;
    const hold = bus.hold(raw);
    const client = await connect();
    client.send(...messages(1));
    await received(1);
    await eventually(() => hold.waiting.length === 1);
    for (let second = 0; second < 60; second++) {
      clock.advance(1000);
      await new Promise((resolve) => setImmediate(resolve));
    }
    await client.received(type.puback, 1);
    expect(spoolOf(opened).records, 'ticks are not spooled').toBe(1);
    hold.release();
    await eventually(() => {
      clock.advance(100);
      return bus.records(topics.raw).filter(({ headers: names }) => names[headers.tick] === '1').length >= 4;
    });
    const { partition } = opened.messages()[0]!;
    const own = bus.records(topics.raw).filter((record) => record.partition === partition);
    expect(own.slice(0, 2).map(({ value }) => value === null)).toEqual([false, true]);
    expect(own[1]!.timestampMs).toBeGreaterThan(own[0]!.timestampMs + 60_000);
  });
});

describe('What the bus refuses for good while the spool is drained', () => {
  it('goes to the DLQ, is counted, and stops nothing', async () => {
    const opened = await openGateway({}, { spool: (await spoolFile())() });
    const { bus, connect, gateway, messages: appended } = opened;
    const stopFailing = bus.fail(raw);
    bus.refuse((topic, { value }) => (raw(topic) && String(value).includes('"seq":5,') ? 'MESSAGE_TOO_LARGE' : null));
    const client = await connect();
    client.send(...messages(9));
    await client.received(type.puback, 9);
    stopFailing();
    await drained(opened);
    expect(counters(appended()).sort()).toEqual([1, 2, 3, 4, 6, 7, 8, 9]);
    const [letter, ...others] = bus.records(topics.dlq);
    expect(others).toEqual([]);
    expect(letter!.headers).toMatchObject({ 'dlq.reason': 'not_appendable', [headers.ingestId]: 'run1-5' });
    expect(gateway.status().ledger).toMatchObject({ appended: 8, spooled: 0, dropped: { not_appendable: 1 } });
  });
});

describe('A full spool', () => {
  it('is as if there were none: held up to the caps, then QoS 0 dropped, clients refused, nothing lost', async () => {
    const spool = (await spoolFile())({ maxBytes: 2000 });
    const opened = await openGateway({ maxHeldMessages: 5, maxBatchRecords: 2 }, { spool });
    const { bus, connect, gateway, received, port, messages: appended } = opened;
    const stopFailing = bus.fail(raw);
    const client = await connect();
    const other = await connect({ clientId: 'other' });
    let sent = 0;
    // One by one: what is acknowledged is in the spool, until there is no room.
    while (gateway.ready().every((problem) => !problem.includes('the spool is full'))) {
      client.send(...messages(1, { from: ++sent, pad: 100 }));
      await received(sent);
      await eventually(() => client.ids(type.puback).length === sent || gateway.ready().length > 0);
    }
    expect(sent).toBeGreaterThan(5);
    expect(spoolOf(opened).bytes).toBeLessThanOrEqual(2000);
    client.send(...messages(5, { from: sent + 1, pad: 100 }));
    await eventually(() => gateway.ready().includes('gateway: holds as many messages as it may'));
    const late = await RawClient.open(port);
    late.send(connectPacket({ clientId: 'late' }));
    expect(await late.received(type.connack)).toEqual([3]);
    other.send(publishPacket({ qos: 0 }));
    await eventually(() => gateway.status().ledger.dropped.qos0_over_cap === 1);
    stopFailing();
    await client.received(type.puback, sent + 5);
    await drained(opened);
    expect(ledgersOf(appended())).toEqual({ messages: sent + 5, redelivered: 0 });
    isInOrder(appended());
    await eventually(() => gateway.ready().length === 0);
  });

  it('so is a full disk; what the bus takes after all is acknowledged', async () => {
    let isFull = true;
    const between: Parameters<Awaited<ReturnType<typeof spoolFile>>>[0] = {
      between: (disk) =>
        withMethods(disk, {
          append: (topic, records) =>
            isFull
              ? Promise.reject(new SluiceError('BUS_UNAVAILABLE', 'its disk is full'))
              : disk.append(topic, records),
        }),
    };
    const opened = await openGateway({}, { spool: (await spoolFile())(between) });
    const { bus, connect, gateway, messages: appended } = opened;
    const hold = bus.hold(raw);
    const client = await connect();
    client.send(...messages(3));
    await eventually(() => gateway.ready().includes('bus: its disk is full'));
    expect(client.ids(type.puback)).toEqual([]);
    hold.release();
    await client.received(type.puback, 3);
    expect(counters(appended()).sort()).toEqual([1, 2, 3]);
    const again = bus.hold(raw);
    isFull = false;
    client.send(...messages(3, { from: 4 }));
    await client.received(type.puback, 6);
    again.release();
    await drained(opened);
    expect(ledgersOf(appended())).toEqual({ messages: 6, redelivered: 0 });
  });
});

describe('The next run', () => {
  /** After one that was killed: it left these messages in the spool, and an append that can still land. */
  async function killedRun(count: number) {
    const bus = new MemoryBus();
    const file = await spoolFile();
    let isAlive = true;
    /** Nothing that a dead process calls happens. */
    const whileAlive = <T>(call: () => Promise<T>) => (isAlive ? call() : new Promise<never>(() => {}));
    const spool = file({
      between: (disk) =>
        withMethods(disk, {
          append: (topic, records) => whileAlive(() => disk.append(topic, records)),
          trim: (topic, partition, offset) => whileAlive(() => disk.trim(topic, partition, offset)),
        }),
    });
    const append: MemoryBus['append'] = (topic, records) => whileAlive(() => bus.append(topic, records));
    const opened = await openGateway({}, { bus: withMethods(bus, { append }), spool });
    const hold = bus.hold(raw);
    const client = await opened.connect();
    client.send(...messages(count));
    await client.received(type.puback, count);
    isAlive = false;
    return { bus, hold, file };
  }

  it('drains first what it finds, appends its own behind it, and what is there twice is dropped by id', async () => {
    const { bus, hold, file } = await killedRun(50);
    const opened = await openGateway({}, { bus, instance: 'run2', spool: file() });
    expect(spoolOf(opened)).toMatchObject({ records: 50, spooled: 0 });
    expect(opened.gateway.status().ledger).toMatchObject({ received: 0, inherited: 50, spooled: 50 });
    const client = await opened.connect();
    client.send(...messages(50, { from: 51 }));
    await client.received(type.puback, 50);
    expect(opened.messages(), 'the bus still stalls').toEqual([]);
    const landing = hold.waiting[0]!.length;
    hold.release();
    await drained(opened);
    expect(opened.messages()).toHaveLength(100 + landing);
    expect(ledgersOf(opened.messages())).toEqual({ messages: 100, redelivered: landing });
    isInOrder(opened.messages());
    expect(opened.gateway.status().ledger).toMatchObject({ received: 50, inherited: 50, appended: 100, spooled: 0 });
  });

  it('starts without the bus where an earlier one has been', async () => {
    const { bus, file } = await killedRun(5);
    const away = withMethods(bus, {
      partitionCount: () => Promise.reject(new SluiceError('BUS_UNAVAILABLE', 'out of reach')),
    });
    const opened = await openGateway({}, { bus: away, instance: 'run2', spool: file() });
    expect(spoolOf(opened).records).toBe(5);
    const client = await opened.connect();
    client.send(...messages(5, { from: 6 }));
    await client.received(type.puback, 5);
  });
});

describe('Closing', () => {
  it('commits to the spool what the bus does not take in time, acknowledges it, and the next run appends it', async () => {
    const bus = new MemoryBus();
    const file = await spoolFile();
    const first = await openGateway({}, { bus, spool: file({ afterMs: 60_000 }) });
    const hold = bus.hold(raw);
    const client = await first.connect({ will: { topic: 'iot/lab/d1/telemetry', payload: '{"seq":21}', qos: 1 } });
    client.send(...messages(20));
    await first.received(20);
    await first.gateway.close(1000);
    expect(client.ids(type.puback)).toEqual(numbers(20));
    await client.closed();
    expect(first.gateway.status().ledger).toMatchObject({ received: 21, spooled: 21, held: 0 });
    hold.release();
    const second = await openGateway({}, { bus, instance: 'run2', spool: file() });
    await drained(second);
    const { messages: counted } = ledgersOf(second.messages());
    expect(counted).toBe(21);
    expect(payloads(second.messages()).at(-1)).toBe('{"seq":21}');
  });

  it('does not use the spool while the bus works', async () => {
    const opened = await openGateway({}, { spool: (await spoolFile())() });
    const client = await opened.connect({ will: { topic: 'iot/lab/d1/telemetry', payload: '{"seq":9}', qos: 1 } });
    client.send(...messages(8));
    await client.received(type.puback, 8);
    await opened.gateway.close(1000);
    expect(counters(opened.messages()).sort()).toEqual(numbers(9));
    expect(spoolOf(opened)).toMatchObject({ spooled: 0 });
  });
});
