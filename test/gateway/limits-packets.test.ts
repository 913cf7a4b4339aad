import { parser } from 'mqtt-packet';
import { describe, expect, it } from 'vitest';
import type { ClosedReason } from '../../core/reasons.ts';
import { FrameReader } from '../../gateway/packets/frames.ts';
import { PacketCheck } from '../../gateway/packets/packets.ts';
import { Violation } from '../../gateway/packets/violation.ts';
import { defaults } from './harness.ts';
import {
  connectPacket,
  disconnect,
  frame,
  pingreq,
  publishPacket,
  pubrel,
  subscribe,
  unsubscribe,
} from './raw-client.ts';

const limits = { ...defaults, maxTopicBytes: 40, maxTopicLevels: 5, maxClientIdBytes: 30, maxSubscriptions: 4 };
const badText = Buffer.from([0x61, 0xff]);
const will = { topic: 'iot/lab/d1/telemetry', payload: '{}', qos: 1 };
const credentials = { username: 'fleet', password: 'secret' };

/** What becomes of packets of one connection; `null` = all are taken. */
function verdict(...packets: readonly Buffer[]): { reason: ClosedReason; returnCode: number | null } | null {
  const frames = new FrameReader(new PacketCheck(limits));
  try {
    for (const packet of packets) frames.read(packet, []);
    return null;
  } catch (error) {
    if (!(error instanceof Violation)) throw error;
    return { reason: error.reason, returnCode: error.returnCode };
  }
}

const afterConnect = (...packets: readonly Buffer[]) => verdict(connectPacket(), ...packets)?.reason ?? null;

/** A CONNECT with some bytes changed. The flags are at 9, the protocol level at 8. */
function altered(packet: Buffer, changes: Readonly<Record<number, number>>): Buffer {
  const copy = Buffer.from(packet);
  for (const [at, byte] of Object.entries(changes)) copy[Number(at)] = byte;
  return copy;
}

describe('A CONNECT', () => {
  it.each([
    ['with everything', connectPacket({ will, credentials, clean: false })],
    ['of MQTT 3.1', altered(frame(0x10, Buffer.from('\0\x06MQIsdp\x03\x02\0\x3c\0\x02d1')), {})],
    ['of a bridge', altered(connectPacket(), { 8: 0x84 })],
    ['without a client id', connectPacket({ clientId: '' })],
    ['with the longest client id', connectPacket({ clientId: 'x'.repeat(30) })],
  ])('%s is taken', (_what, packet) => {
    expect(verdict(packet)).toBe(null);
  });

  it.each<[string, Buffer, ClosedReason, number | null]>([
    ['of MQTT 5', connectPacket({ protocolLevel: 5 }), 'protocol_version', 1],
    ['of a version there is not', connectPacket({ protocolLevel: 9 }), 'protocol_version', 1],
    ['of another protocol', altered(connectPacket(), { 4: 0x58 }), 'malformed_packet', null],
    ['with the reserved flag', altered(connectPacket(), { 9: 0x03 }), 'malformed_packet', null],
    ['with a QoS of no will', altered(connectPacket(), { 9: 0x0a }), 'malformed_packet', null],
    ['with a will of QoS 3', connectPacket({ will: { ...will, qos: 3 } }), 'malformed_packet', null],
    ['with a password of no one', altered(connectPacket(), { 9: 0x42 }), 'malformed_packet', null],
    ['that announces a will and has none', altered(connectPacket(), { 9: 0x06 }), 'malformed_packet', null],
    ['that ends in its keepalive', frame(0x10, Buffer.from('\0\x04MQTT\x04\x02\0')), 'malformed_packet', null],
    ['with header flags', altered(connectPacket(), { 0: 0x11 }), 'malformed_packet', null],
    ['with a client id that is too long', connectPacket({ clientId: 'x'.repeat(31) }), 'bad_client_id', 2],
    ['with a client id that is no text', connectPacket({ clientId: badText }), 'bad_client_id', 2],
    ['without a client id, for a session', connectPacket({ clientId: '', clean: false }), 'bad_client_id', 2],
    [
      'with a user name that is no text',
      connectPacket({ credentials: { ...credentials, username: badText } }),
      'bad_text',
      4,
    ],
    [
      'with a will that is too deep',
      connectPacket({ will: { ...will, topic: 'a/b/c/d/e/f' } }),
      'topic_too_deep',
      null,
    ],
    ['with a will under $', connectPacket({ will: { ...will, topic: '$SYS/x' } }), 'topic_not_allowed', null],
    ['that is too large', connectPacket({ will: { ...will, payload: 'x'.repeat(20_000) } }), 'packet_too_large', null],
  ])('%s is refused', (_what, packet, reason, returnCode) => {
    expect(verdict(packet)).toEqual({ reason, returnCode });
  });

  it('comes first and once', () => {
    expect(verdict(publishPacket())?.reason).toBe('malformed_packet');
    expect(verdict(pingreq())?.reason).toBe('malformed_packet');
    expect(verdict(connectPacket(), connectPacket())?.reason).toBe('malformed_packet');
  });
});

describe('A PUBLISH', () => {
  it.each([
    ['with the longest topic', publishPacket({ topic: 'x'.repeat(40) })],
    ['with the deepest topic', publishPacket({ topic: 'a/b/c/d/e' })],
    ['with empty levels', publishPacket({ topic: '//' })],
    ['of other letters', publishPacket({ topic: 'iot/Käse/温度' })],
    ['with nothing in it', publishPacket({ qos: 0, topic: 'a', payload: '' })],
  ])('%s is taken', (_what, packet) => {
    expect(afterConnect(packet)).toBe(null);
  });

  it.each<[string, Buffer, ClosedReason]>([
    ['with a longer topic', publishPacket({ topic: 'x'.repeat(41) }), 'topic_too_long'],
    ['with a deeper topic', publishPacket({ topic: 'a/b/c/d/e/f' }), 'topic_too_deep'],
    ['with a topic that is no text', publishPacket({ topic: badText }), 'bad_text'],
    ['with NUL in its topic', publishPacket({ topic: 'iot/\0' }), 'bad_text'],
    ['without a topic', publishPacket({ topic: '' }), 'topic_not_allowed'],
    ['under $', publishPacket({ topic: '$share/x' }), 'topic_not_allowed'],
    ['with +', publishPacket({ topic: 'iot/+/x' }), 'topic_not_allowed'],
    ['with #', publishPacket({ topic: 'iot/#' }), 'topic_not_allowed'],
    ['of QoS 3', frame(0x36, Buffer.from([0, 1, 0x61, 0, 1])), 'malformed_packet'],
    ['of QoS 1 without a packet id', frame(0x32, Buffer.from([0, 1, 0x61, 0])), 'malformed_packet'],
    ['of QoS 1 with packet id 0', publishPacket({ id: 0 }), 'malformed_packet'],
    ['with a topic that is longer than the packet', frame(0x30, Buffer.from([0, 9, 0x61])), 'malformed_packet'],
    ['of one byte', frame(0x30, Buffer.from([0])), 'malformed_packet'],
    ['of no byte', frame(0x30), 'malformed_packet'],
  ])('%s is refused', (_what, packet, reason) => {
    expect(afterConnect(packet)).toBe(reason);
  });
});

describe('SUBSCRIBE and UNSUBSCRIBE', () => {
  it('may ask for as many topics as the limit, over all packets of a connection', () => {
    expect(afterConnect(subscribe(1, 'a', '#'), unsubscribe(2, 'a', '+/b'))).toBe(null);
    expect(afterConnect(subscribe(1, 'a', '#'), unsubscribe(2, 'a', 'b', 'c'))).toBe('too_many_subscriptions');
    expect(afterConnect(...[1, 2, 3, 4, 5].map((id) => subscribe(id, 'a')))).toBe('too_many_subscriptions');
  });

  it.each<[string, Buffer, ClosedReason]>([
    ['no topic', subscribe(1), 'malformed_packet'],
    ['an empty topic', subscribe(1, ''), 'malformed_packet'],
    ['no packet id', subscribe(0, 'a'), 'malformed_packet'],
    ['QoS 3', frame(0x82, Buffer.from([0, 1, 0, 1, 0x61, 3])), 'malformed_packet'],
    ['no QoS', frame(0x82, Buffer.from([0, 1, 0, 1, 0x61])), 'malformed_packet'],
    ['wrong flags', frame(0x80, Buffer.from([0, 1, 0, 1, 0x61, 1])), 'malformed_packet'],
    ['a topic that is too long', subscribe(1, 'x'.repeat(41)), 'topic_too_long'],
    ['a topic that is too deep', unsubscribe(1, 'a/b/c/d/e/f'), 'topic_too_deep'],
    ['a topic that is no text', unsubscribe(1, badText), 'bad_text'],
  ])('with %s is refused', (_what, packet, reason) => {
    expect(afterConnect(packet)).toBe(reason);
  });
});

describe('Other packets', () => {
  const id = Buffer.from([0, 1]);
  it('that a client may send are taken as they must be, and refused with other flags or another length', () => {
    for (const first of [0x40, 0x50, 0x62, 0x70]) {
      expect(afterConnect(frame(first, id))).toBe(null);
      expect(afterConnect(frame(first ^ 1, id))).toBe('malformed_packet');
      expect(afterConnect(frame(first))).toBe('malformed_packet');
      expect(afterConnect(frame(first, id, id))).toBe('malformed_packet');
    }
    expect(afterConnect(pubrel(1), pingreq(), disconnect())).toBe(null);
    expect(afterConnect(frame(0xe0, id))).toBe('malformed_packet');
  });

  it('that only a server sends, or nobody, are refused', () => {
    for (const type of [0, 2, 9, 11, 13, 15]) expect(afterConnect(frame(type << 4, id))).toBe('malformed_packet');
  });
});

it("the broker's own parser says nothing of text that is none: it puts U+FFFD in its place", () => {
  const topics: string[] = [];
  const broker = parser();
  broker.on('packet', (packet) => topics.push(packet.cmd === 'publish' ? packet.topic : ''));
  broker.parse(publishPacket({ topic: badText }));
  expect(topics).toEqual(['a\ufffd']);
});
