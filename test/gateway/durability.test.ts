import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { promisify } from 'node:util';
import { connectAsync } from 'mqtt';
import { describe, expect, it, onTestFinished } from 'vitest';
import { partitionOf } from '../../core/partition.ts';
import { headers } from '../../core/topics.ts';
import { eventually } from '../support/eventually.ts';
import { counters, openGateway, payloads, raw, topics } from './harness.ts';
import { connectPacket, disconnect, publishPacket, RawClient, subscribe, type } from './raw-client.ts';

describe('A message is acknowledged when the bus has it, not before', () => {
  it('sends PUBACK only after the append has resolved', async () => {
    const { bus, connect, messages } = await openGateway();
    const hold = bus.hold(raw);
    const client = await connect();
    client.send(publishPacket({ id: 5 }));
    await eventually(() => hold.waiting.length === 1);
    await client.ping();
    expect(client.ids(type.puback)).toEqual([]);
    hold.release();
    expect(await client.received(type.puback)).toEqual([5]);
    expect(messages()).toHaveLength(1);
  });

  it('sends PUBREC only after the append has resolved', async () => {
    const { bus, connect } = await openGateway();
    const hold = bus.hold(raw);
    const client = await connect();
    client.send(publishPacket({ qos: 2, id: 6 }));
    await eventually(() => hold.waiting.length === 1);
    await client.ping();
    expect(client.ids(type.pubrec)).toEqual([]);
    hold.release();
    expect(await client.received(type.pubrec)).toEqual([6]);
  });

  it('acknowledges in arrival order though lanes finish out of order [MQTT-4.6.0-2]', async () => {
    const partitions = 4;
    const { bus, connect, messages } = await openGateway({}, { lanes: 4, partitions });
    const hold = bus.hold((topic, records) => raw(topic) && records[0]!.partition === 0);
    const client = await connect({ clientId: 'site-gateway' });
    const ofPartition = (wanted: number) =>
      Array.from({ length: 100 }, (_, i) => `m${i}`).find((d) => partitionOf(`lab/${d}`, partitions) === wanted)!;
    const devices = [0, 1, 2, 0, 3, 1].map(ofPartition);
    const ids = devices.map((_, i) => i + 1);
    client.send(
      ...devices.map((device, i) =>
        publishPacket({ topic: `iot/lab/${device}/telemetry`, id: i + 1, qos: i === 4 ? 2 : 1 }),
      ),
    );
    await eventually(() => messages().length === 4, { what: 'the other lanes are done' });
    await client.ping();
    expect(client.packets.filter((p) => p.type === type.puback || p.type === type.pubrec)).toEqual([]);
    hold.release();
    await client.received(type.puback, 5);
    await client.received(type.pubrec, 1);
    const answers = client.packets.filter((p) => p.type === type.puback || p.type === type.pubrec);
    // The broker answers QoS 2 a step later; among PUBACKs the order is that of arrival.
    expect(answers.filter((p) => p.type === type.puback).map(({ id }) => id)).toEqual(ids.filter((id) => id !== 5));
  });

  it('appends what a client sent although it left before', async () => {
    const { bus, connect, appended, received, gateway } = await openGateway();
    const hold = bus.hold(raw);
    const client = await connect();
    client.send(publishPacket({ qos: 1, id: 1 }), publishPacket({ qos: 0, payload: '{"t":2}' }));
    await received(2);
    client.socket.destroy();
    await eventually(() => gateway.status().clients === 0);
    hold.release();
    expect(payloads(await appended(2))).toEqual(['{"t":1}', '{"t":2}']);
    await eventually(() => gateway.status().ledger.appended === 2);
    expect(gateway.status().ledger.held).toBe(0);
  });

  it('takes everything that comes in one segment with CONNECT, DISCONNECT and the end of the stream', async () => {
    const { port, appended } = await openGateway();
    const client = await RawClient.open(port);
    const publishes = Array.from({ length: 100 }, (_, i) => publishPacket({ qos: 0, payload: `{"t":${i}}` }));
    client.socket.end(Buffer.concat([connectPacket(), ...publishes, disconnect()]));
    expect(payloads(await appended(100))).toEqual(publishes.map((_, i) => `{"t":${i}}`));
  });

  it('takes what was sent behind held messages and before the end of the stream', async () => {
    const { bus, connect, appended, received } = await openGateway();
    const hold = bus.hold(raw);
    const client = await connect();
    client.send(publishPacket({ id: 1 }), publishPacket({ id: 2 }), publishPacket({ id: 3 }));
    await received(3);
    client.socket.end(Buffer.concat([publishPacket({ id: 4 }), publishPacket({ qos: 0, payload: 'last' })]));
    await eventually(() => client.socket.writableFinished);
    hold.release();
    expect(payloads(await appended(5)).at(-1)).toBe('last');
  });
});

describe('The record of a message', () => {
  it('has the device as its key, the payload untouched, and headers only where they add something', async () => {
    const { connect, appended } = await openGateway();
    const payload = Buffer.from([0, 255, 1, 254]);
    const client = await connect({ clientId: 'd1' });
    const before = Date.now();
    client.send(publishPacket({ payload }));
    const [record] = await appended(1);
    expect(record).toMatchObject({ key: 'lab/d1', value: payload, partition: partitionOf('lab/d1', 4) });
    expect(record!.headers).toEqual({ [headers.ingestId]: 'run1-1', [headers.mqttTopic]: 'iot/lab/d1/telemetry' });
    expect(record!.timestampMs).toBeGreaterThanOrEqual(before);
    expect(record!.timestampMs).toBeLessThanOrEqual(Date.now());
  });

  it('names the client when it is not the device, and the wish to retain', async () => {
    const { connect, appended } = await openGateway();
    const client = await connect({ clientId: 'collector' });
    client.send(publishPacket({ retain: true }));
    const [record] = await appended(1);
    expect(record!.headers).toMatchObject({ [headers.mqttClient]: 'collector', [headers.mqttRetain]: '1' });
  });

  it('has the client id as its key where no route matches', async () => {
    const { connect, appended, bus } = await openGateway();
    const client = await connect({ clientId: 'odd' });
    client.send(publishPacket({ topic: 'some/where' }));
    const [record] = await appended(1);
    expect(record!.key).toBe('odd');
    expect(record!.headers).toEqual({ [headers.ingestId]: 'run1-1', [headers.mqttTopic]: 'some/where' });
    expect(bus.records(topics.deviceStatus)).toEqual([]);
  });

  it('keeps an empty retained message, for the processor to tell', async () => {
    const { connect, appended } = await openGateway();
    const client = await connect();
    client.send(publishPacket({ retain: true, payload: '' }));
    const [record] = await appended(1);
    expect(record!.value).toEqual(Buffer.alloc(0));
  });
});

describe('Other clients', () => {
  it('mqtt.js publishes at every QoS', async () => {
    const { port, messages } = await openGateway();
    const client = await connectAsync({ port, clientId: 'd1', reconnectPeriod: 0 });
    onTestFinished(() => client.endAsync(true));
    for (const qos of [0, 1, 2] as const) await client.publishAsync('iot/lab/d1/telemetry', `{"q":${qos}}`, { qos });
    await eventually(() => messages().length === 3);
    expect(payloads(messages())).toEqual(['{"q":0}', '{"q":1}', '{"q":2}']);
    expect(counters(messages())).toEqual([1, 2, 3]);
  });

  const hasMosquitto = existsSync('/usr/bin/mosquitto_pub');
  if (!hasMosquitto)
    process.stderr.write('\n!! SKIPPED: mosquitto_pub is not installed (apt install mosquitto-clients)\n');
  it.skipIf(!hasMosquitto)('mosquitto_pub publishes at every QoS', async () => {
    const { port, messages } = await openGateway();
    for (const qos of ['0', '1', '2']) {
      const args = ['-p', String(port), '-q', qos, '-t', 'iot/lab/s1/telemetry', '-m', `{"q":${qos}}`];
      await promisify(execFile)('mosquitto_pub', args);
    }
    await eventually(() => messages().length === 3);
    expect(messages().map(({ key }) => key)).toEqual(['lab/s1', 'lab/s1', 'lab/s1']);
  });

  it('nobody can subscribe, and no one publishes under $SYS/', async () => {
    const { connect, gateway } = await openGateway();
    const client = await connect();
    client.send(subscribe(3, 'iot/#'));
    expect(await client.received(type.suback)).toEqual([3]);
    expect(client.packets.at(-1)!.last, 'refused [MQTT-3.9.3]').toBe(0x80);
    client.send(publishPacket({ topic: '$SYS/x' }));
    await client.closed();
    expect(gateway.status().ledger.received).toBe(0);
  });
});
