import { describe, expect, it } from 'vitest';
import type { NewRecord } from '../../bus/port.ts';
import { AckQueue } from '../../gateway/ingest/acks.ts';
import type { Place } from '../../gateway/ingest/records.ts';
import { Turns, turnOf } from '../../gateway/ingest/turns.ts';
import { eventually } from '../support/eventually.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { counters, openGateway, payloads, raw } from './harness.ts';
import { publishPacket, type RawClient, type } from './raw-client.ts';

const limits = { maxBatchRecords: 100, maxBatchBytes: 1024 * 1024 };
/** Messages, by device and number, for its own topic. */
const flood = (device: string, count: number) =>
  Array.from({ length: count }, (_, i) =>
    publishPacket({ topic: `iot/lab/${device}/telemetry`, id: i + 1, payload: `${device}:${i}` }),
  );

/** One packet per read of the gateway, so that it is throttled at its cap and not a chunk later. */
async function sendOneByOne(client: RawClient, packets: readonly Buffer[]): Promise<void> {
  for (const packet of packets) {
    client.send(packet);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

describe('While one or many flood the gateway', () => {
  it('the message of another is in the next batch, however much waits before it', async () => {
    const clock = new ManualClock();
    const options = { ...limits, maxHeldMessagesPerClient: 200, lingerMs: 0 };
    const { bus, connect, gateway, received } = await openGateway(options, { clock });
    const hold = bus.hold(raw);
    for (const device of ['g1', 'g2', 'g3', 'g4', 'g5']) {
      const greedy = await connect({ clientId: device });
      await sendOneByOne(greedy, flood(device, 300));
    }
    await eventually(() => gateway.status().throttled === 5, { what: 'all five are over their cap' });
    const before = gateway.status().ledger.received;
    expect(before).toBeGreaterThanOrEqual(1000);
    const quiet = await connect({ clientId: 'quiet' });
    quiet.send(publishPacket({ topic: 'iot/lab/quiet/telemetry', id: 7, payload: 'quiet' }));
    await received(before + 1);
    hold.release();
    expect(await quiet.received(type.puback)).toEqual([7]);
    const batches = bus.calls.filter(({ topic }) => raw(topic)).map(({ records }) => records.map(textOf));
    expect(
      batches.findIndex((batch) => batch.includes('quiet')),
      'the first was under way',
    ).toBe(1);
  });

  it('a batch of those who flood alone is small, so that nobody waits long for it', async () => {
    const clock = new ManualClock();
    const options = { ...limits, maxHeldMessagesPerClient: 200, lingerMs: 0 };
    const { bus, connect, gateway, appended } = await openGateway(options, { clock });
    const hold = bus.hold(raw);
    const greedy = await connect({ clientId: 'g1' });
    await sendOneByOne(greedy, flood('g1', 250));
    await eventually(() => gateway.status().throttled === 1);
    hold.release();
    expect(payloads(await appended(250)).length).toBe(250);
    const sizes = bus.calls.filter(({ topic }) => raw(topic)).map(({ records }) => records.length);
    // Those within its first hundred are as near as anyone's.
    expect(Math.max(...sizes)).toBeLessThanOrEqual(limits.maxBatchRecords);
    expect(sizes.slice(2).filter((size) => size > Math.ceil(limits.maxBatchRecords / 16))).toEqual([]);
  });

  it('their own messages stay in order, and counters rise within each partition', async () => {
    const { bus, connect, appended } = await openGateway(limits);
    const hold = bus.hold(raw);
    const greedy = await connect({ clientId: 'g1' });
    const other = await connect({ clientId: 'o1' });
    greedy.send(...flood('g1', 400));
    other.send(...flood('o1', 20));
    await eventually(() => hold.waiting.length === 1);
    hold.release();
    const records = await appended(420);
    for (const device of ['g1', 'o1']) {
      const own = payloads(records).filter((payload) => payload.startsWith(device));
      expect(own).toEqual(own.map((_, i) => `${device}:${i}`));
    }
    for (const partition of [0, 1, 2, 3]) {
      const own = counters(records.filter((record) => record.partition === partition));
      expect(own).toEqual(own.toSorted((a, b) => a - b));
    }
  });
});

describe('Turns', () => {
  const place = (): Place => ({ topic: 'iot/lab/d1/telemetry', key: 'lab/d1', partition: 0, route: null, turnMs: 0 });
  const record = (name: string, bytes = 10): NewRecord => ({
    key: name,
    value: Buffer.alloc(bytes),
    headers: {},
    timestampMs: 0,
  });

  it('are those of arrival for clients with few messages each, also after a minute without an append', () => {
    const turns = new Turns();
    const clients = Array.from({ length: 20 }, () => ({ acks: new AckQueue(), place: place() }));
    const arrived: string[] = [];
    for (let second = 0; second < 60; second++) {
      for (const [i, client] of clients.entries()) {
        // Half of them every second, half every twenty.
        if (i % 2 === 1 && second % 20 !== i) continue;
        const nowMs = second * 1000 + i * 50;
        client.acks.add(10, nowMs, () => {});
        const name = `${i}:${second}`;
        arrived.push(name);
        turns.push(record(name), null, turnOf(nowMs, client.acks, client.place));
      }
    }
    const taken: string[] = [];
    while (turns.length > 0) taken.push(...turns.take(limits, 60_000).records.map(({ key }) => key));
    const late = taken.map((name, i) => Math.abs(arrived.indexOf(name) - i));
    expect(Math.max(...late), 'places by which a message is behind where it came').toBeLessThanOrEqual(2);
  });

  it('of one client never change places, nor do those of one topic over two connections', () => {
    const turns = new Turns();
    const topic = place();
    const [older, newer] = [new AckQueue(), new AckQueue()];
    const acks = Array.from({ length: 50 }, () => older.add(1000, 0, () => {}));
    for (const [i] of acks.entries()) turns.push(record(`a${i}`), null, turnOf(0, older, topic));
    for (const ack of acks) ack.settle();
    older.add(10, 1, () => {});
    turns.push(record('b'), null, turnOf(1, older, place()));
    newer.add(10, 1, () => {});
    turns.push(record('c'), null, turnOf(1, newer, topic));
    const taken = turns.take(limits, 1000).records.map(({ key }) => key);
    expect(taken).toEqual([...acks.map((_, i) => `a${i}`), 'b', 'c']);
  });

  it('count bytes as they count messages', () => {
    const turns = new Turns();
    const [large, small] = [new AckQueue(), new AckQueue()];
    for (let i = 0; i < 4; i++) {
      large.add(256 * 1024, 0, () => {});
      turns.push(record(`large${i}`, 256 * 1024), null, turnOf(0, large, place()));
    }
    small.add(10, 5, () => {});
    turns.push(record('small'), null, turnOf(5, small, place()));
    expect(turns.take(limits, 5).records.map(({ key }) => key)).toEqual(['small']);
    expect(turns.take(limits, 5).records.map(({ key }) => key)).toEqual(['large0']);
  });

  it('give batches within their limits, and one record that is larger alone', () => {
    const turns = new Turns();
    for (let i = 0; i < 250; i++) turns.push(record(String(i), 10), null, i % 7);
    turns.push(record('huge', 2 * limits.maxBatchBytes), null, 3);
    const batches = [];
    while (turns.length > 0) batches.push(turns.take(limits, 1000).records);
    expect(batches.flat()).toHaveLength(251);
    for (const batch of batches) expect(batch.length).toBeLessThanOrEqual(100);
    expect(batches.find((batch) => batch.some(({ key }) => key === 'huge'))).toHaveLength(1);
    expect(turns.bytes).toBe(0);
    expect(turns.first).toBeNull();
  });
});

function textOf({ value }: NewRecord): string {
  return String(value);
}
