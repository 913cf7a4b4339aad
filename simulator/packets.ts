/** The packets of MQTT 3.1.1 that a publisher sends, as bytes. */
import type { Credentials, Will } from './options.ts';

export interface ConnectFields {
  readonly clientId: string;
  /** `false`: the broker keeps the session, and what was in flight is sent again under its packet id. */
  readonly clean: boolean;
  readonly will: Will | null;
  /** 0: none. */
  readonly keepaliveSeconds: number;
  readonly credentials: Credentials | null;
}

export const pingPacket = Buffer.from([0xc0, 0]);
export const disconnectPacket = Buffer.from([0xe0, 0]);

const protocolLevel = 4;

export function connectPacket({ clientId, clean, will, keepaliveSeconds, credentials }: ConnectFields): Buffer {
  const willFlags = will === null ? 0 : 0x04 | (will.qos << 3) | (will.retain ? 0x20 : 0);
  const flags = (clean ? 0x02 : 0) | willFlags | (credentials === null ? 0 : 0xc0);
  const texts = [clientId];
  if (will !== null) texts.push(will.topic, will.payload);
  if (credentials !== null) texts.push(credentials.username, credentials.password);
  const head = Buffer.from([protocolLevel, flags, keepaliveSeconds >> 8, keepaliveSeconds & 0xff]);
  const body = Buffer.concat([withLength('MQTT'), head, ...texts.map(withLength)]);
  return Buffer.concat([Buffer.from([0x10]), remainingLength(body.length), body]);
}

/** `id`: `null` at QoS 0. One buffer and no more: it is made for every message. */
export function publishPacket(
  topic: string,
  payload: string | Uint8Array,
  { qos, id, dup }: { readonly qos: 0 | 1 | 2; readonly id: number | null; readonly dup: boolean },
): Buffer {
  const topicBytes = Buffer.byteLength(topic);
  const payloadBytes = Buffer.byteLength(payload);
  const length = 2 + topicBytes + (id === null ? 0 : 2) + payloadBytes;
  const packet = Buffer.allocUnsafe(1 + remainingLengthBytes(length) + length);
  let at = packet.writeUInt8(0x30 | (dup ? 0x08 : 0) | (qos << 1));
  at = writeRemainingLength(packet, length, at);
  at = packet.writeUInt16BE(topicBytes, at);
  at += packet.write(topic, at);
  if (id !== null) at = packet.writeUInt16BE(id, at);
  if (typeof payload === 'string') packet.write(payload, at);
  else packet.set(payload, at);
  return packet;
}

/** The answer to PUBREC. */
export function pubrelPacket(id: number): Buffer {
  return Buffer.from([0x62, 2, id >> 8, id & 0xff]);
}

function withLength(text: string): Buffer {
  const bytes = Buffer.from(text);
  return Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 0xff]), bytes]);
}

function remainingLength(length: number): Buffer {
  const bytes = Buffer.allocUnsafe(remainingLengthBytes(length));
  writeRemainingLength(bytes, length, 0);
  return bytes;
}

/** Seven bits a byte, the lowest first; the high bit says that more follow. */
function writeRemainingLength(packet: Buffer, length: number, at: number): number {
  let rest = length;
  let next = at;
  for (; rest > 0x7f; rest >>= 7) packet[next++] = (rest & 0x7f) | 0x80;
  packet[next++] = rest;
  return next;
}

function remainingLengthBytes(length: number): number {
  return length < 0x80 ? 1 : length < 0x4000 ? 2 : length < 0x20_0000 ? 3 : 4;
}
