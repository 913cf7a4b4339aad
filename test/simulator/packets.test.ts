/** What a publisher writes, read by a parser that is not ours. */
import { type Packet, parser } from 'mqtt-packet';
import { expect, test } from 'vitest';
import { connectPacket, disconnectPacket, pingPacket, publishPacket, pubrelPacket } from '../../simulator/packets.ts';

function read(bytes: Buffer): Packet {
  const packets: Packet[] = [];
  const reader = parser({ protocolVersion: 4 })
    .on('packet', (packet) => packets.push(packet))
    .on('error', (error) => {
      throw error;
    });
  reader.parse(bytes);
  expect(packets, `${bytes.length} bytes are one packet`).toHaveLength(1);
  return packets[0]!;
}

/** With the payload as text: comparing megabytes byte by byte takes a minute. */
function published(bytes: Buffer) {
  const packet = read(bytes);
  if (packet.cmd !== 'publish') throw new Error(`${packet.cmd} is no PUBLISH`);
  return { ...packet, payload: packet.payload.toString() };
}

const plain = { clientId: 'room-1', clean: true, will: null, keepaliveSeconds: 60, credentials: null };

test('CONNECT, with and without what it may carry', () => {
  expect(read(connectPacket(plain))).toMatchObject({
    cmd: 'connect',
    protocolId: 'MQTT',
    protocolVersion: 4,
    clientId: 'room-1',
    clean: true,
    keepalive: 60,
  });
  for (const qos of [0, 1, 2] as const) {
    for (const retain of [false, true]) {
      const will = { topic: 'status/grün', payload: '{"online":false}', qos, retain };
      const credentials = { username: 'übung', password: '' };
      const packet = read(connectPacket({ ...plain, clean: false, will, credentials, keepaliveSeconds: 65_535 }));
      expect(packet).toMatchObject({
        clean: false,
        keepalive: 65_535,
        username: 'übung',
        password: Buffer.alloc(0),
        will: { ...will, payload: Buffer.from(will.payload) },
      });
    }
  }
});

// Each length on either side of where the head of the packet grows by a byte.
test.each([0, 1, 115, 117, 120, 16_370, 16_380, 2_097_139, 2_097_150])('PUBLISH of %i bytes', (length) => {
  const topic = 'halle/süd';
  const text = 'x'.repeat(length);
  const { payload, ...rest } = published(publishPacket(topic, text, { qos: 0, id: null, dup: false }));
  expect(rest).toMatchObject({ cmd: 'publish', topic, qos: 0, dup: false, retain: false });
  expect(payload === text).toBe(true);
  const again = published(publishPacket(topic, Buffer.from(text), { qos: 2, id: 65_535, dup: true }));
  expect(again).toMatchObject({ topic, qos: 2, dup: true, messageId: 65_535 });
  expect(again.payload === text).toBe(true);
});

test('a payload goes out byte by byte, also where it is no text', () => {
  const payload = Buffer.from([0xff, 0xfe, 0, 0xc3]);
  const packet = read(publishPacket('t', payload, { qos: 1, id: 1, dup: false }));
  expect(packet).toMatchObject({ payload, qos: 1, messageId: 1 });
  const text = read(publishPacket('t', '"20 °C"', { qos: 0, id: null, dup: false }));
  expect(text).toMatchObject({ payload: Buffer.from('"20 °C"') });
});

test('PUBREL, PINGREQ and DISCONNECT', () => {
  expect(read(pubrelPacket(300))).toMatchObject({ cmd: 'pubrel', messageId: 300 });
  expect(read(pingPacket)).toMatchObject({ cmd: 'pingreq' });
  expect(read(disconnectPacket)).toMatchObject({ cmd: 'disconnect' });
});
