/**
 * What MQTT 3.1.1 and the limits ask of a packet, checked on its bytes before the broker parses them: whatever is wrong
 * with a packet is found here, under one name, and the broker sees only what is well-formed.
 */
import type { GatewayOptions } from '../options.ts';
import { isText } from './text.ts';
import { Violation } from './violation.ts';

export type PacketLimits = Pick<
  GatewayOptions,
  'maxPacketBytes' | 'maxConnectBytes' | 'maxTopicBytes' | 'maxTopicLevels' | 'maxClientIdBytes' | 'maxSubscriptions'
>;

/** The upper half of a packet's first byte (MQTT 3.1.1 §2.2.1). */
export const packetType = {
  connect: 1,
  publish: 3,
  puback: 4,
  pubrel: 6,
  subscribe: 8,
  unsubscribe: 10,
  pingreq: 12,
  disconnect: 14,
} as const;

/** Flags and body length of the packets without a variable part that a client may send, by type (§2.2.2). */
const fixed: Readonly<Record<number, { readonly flags: number; readonly bodyBytes: number }>> = {
  4: { flags: 0, bodyBytes: 2 },
  5: { flags: 0, bodyBytes: 2 },
  6: { flags: 2, bodyBytes: 2 },
  7: { flags: 0, bodyBytes: 2 },
  12: { flags: 0, bodyBytes: 0 },
  14: { flags: 0, bodyBytes: 0 },
};
/** CONNACK return codes (§3.2.2.3). */
const badVersion = 1;
const badClientId = 2;
const badCredentials = 4;
/** Connect flags (§3.1.2.3). */
const connectFlag = { reserved: 0x01, clean: 0x02, will: 0x04, willRest: 0x38, password: 0x40, username: 0x80 };
/** A bridge sets it in the protocol level. */
const bridgeBit = 0x80;
const maxClientIdBytesOf31 = 23;
const slash = 0x2f;
const plus = 0x2b;
const hash = 0x23;
const dollar = 0x24;

/** Of one connection. All methods throw Violation. */
export class PacketCheck {
  readonly #limits: PacketLimits;
  #isFirst = true;
  #subscriptions = 0;

  constructor(limits: PacketLimits) {
    this.#limits = limits;
  }

  /** `firstByte` and `packetBytes` of a packet whose body may not have come. */
  header(firstByte: number, packetBytes: number): void {
    const isConnect = firstByte >> 4 === packetType.connect;
    if (isConnect !== this.#isFirst) throw malformed(isConnect ? 'a second CONNECT' : 'the first packet is no CONNECT');
    const limit = isConnect ? this.#limits.maxConnectBytes : this.#limits.maxPacketBytes;
    if (packetBytes <= limit) return;
    throw new Violation('packet_too_large', `a packet of ${packetBytes} bytes is over the limit of ${limit}`);
  }

  /** The packet at `at` has come whole: its body is `bytes[body, end)`. Called once for each, after `header`. */
  packet(bytes: Buffer, at: number, body: number, end: number): void {
    const type = bytes[at]! >> 4;
    const flags = bytes[at]! & 0x0f;
    if (type === packetType.publish) {
      this.#publish(bytes, flags, body, end);
    } else if (type === packetType.connect && flags === 0) {
      this.#isFirst = false;
      this.#connect(bytes, body, end);
    } else if ((type === packetType.subscribe || type === packetType.unsubscribe) && flags === 2) {
      this.#subscribe(bytes, type === packetType.subscribe, body, end);
    } else if (fixed[type]?.flags !== flags || fixed[type].bodyBytes !== end - body) {
      throw malformed(`a packet of type ${type}`);
    }
  }

  #publish(bytes: Buffer, flags: number, body: number, end: number): void {
    const qos = (flags >> 1) & 0x03;
    if (qos === 3) throw malformed('a PUBLISH with QoS 3');
    const topicEnd = fieldEnd(bytes, body, end);
    this.#topic(bytes, body + 2, topicEnd);
    if (qos > 0) checkPacketId(bytes, topicEnd, end);
  }

  /** One that is published to. */
  #topic(bytes: Buffer, from: number, to: number): void {
    if (from === to || bytes[from] === dollar) throw new Violation('topic_not_allowed', 'no topic, or one with $');
    if (this.#checkTopic(bytes, from, to)) throw new Violation('topic_not_allowed', 'a wildcard in a PUBLISH');
  }

  /** [MQTT-3.8.3-3], [MQTT-3.10.3-2]: at least one topic filter. */
  #subscribe(bytes: Buffer, hasQos: boolean, body: number, end: number): void {
    checkPacketId(bytes, body, end);
    let at = body + 2;
    if (at === end) throw malformed('a SUBSCRIBE without a topic');
    while (at < end) {
      if (++this.#subscriptions > this.#limits.maxSubscriptions) {
        throw new Violation('too_many_subscriptions', `more than ${this.#limits.maxSubscriptions} topics asked for`);
      }
      const to = fieldEnd(bytes, at, end);
      if (to === at + 2) throw malformed('an empty topic filter');
      this.#checkTopic(bytes, at + 2, to);
      if (hasQos && (to === end || bytes[to]! > 2)) throw malformed('a SUBSCRIBE with a QoS there is not');
      at = hasQos ? to + 1 : to;
    }
  }

  /** Checks what a topic and a filter have in common, in one pass; returns whether there is a wildcard. */
  #checkTopic(bytes: Buffer, from: number, to: number): boolean {
    const { maxTopicBytes, maxTopicLevels } = this.#limits;
    if (to - from > maxTopicBytes) throw new Violation('topic_too_long', `a topic of ${to - from} bytes`);
    let levels = 1;
    let hasWildcard = false;
    let isPlain = true;
    for (let i = from; i < to; i++) {
      const byte = bytes[i]!;
      if (byte === slash) levels++;
      else if (byte < 0x20 || byte > 0x7e) isPlain = false;
      else if (byte === plus || byte === hash) hasWildcard = true;
    }
    if (levels > maxTopicLevels) throw new Violation('topic_too_deep', `a topic of ${levels} levels`);
    if (!isPlain && !isText(bytes, from, to)) throw new Violation('bad_text', 'a topic that is no text');
    return hasWildcard;
  }

  #connect(bytes: Buffer, body: number, end: number): void {
    let at = fieldEnd(bytes, body, end);
    const protocol = bytes.toString('latin1', body + 2, at);
    if (protocol !== 'MQTT' && protocol !== 'MQIsdp') throw malformed('a CONNECT of another protocol');
    if (at + 4 > end) throw malformed('a CONNECT that ends early');
    const level = bytes[at]! & ~bridgeBit;
    const flags = bytes[at + 1]!;
    if (level !== 3 && level !== 4) throw new Violation('protocol_version', `protocol level ${level}`, badVersion);
    checkConnectFlags(flags);
    at += 4;
    let to = fieldEnd(bytes, at, end);
    this.#clientId(bytes, at + 2, to, level, (flags & connectFlag.clean) !== 0);
    if ((flags & connectFlag.will) !== 0) {
      at = to;
      to = fieldEnd(bytes, at, end);
      this.#topic(bytes, at + 2, to);
      to = fieldEnd(bytes, to, end);
    }
    if ((flags & connectFlag.username) !== 0) {
      at = to;
      to = fieldEnd(bytes, at, end);
      if (!isText(bytes, at + 2, to)) throw new Violation('bad_text', 'a user name that is no text', badCredentials);
    }
    if ((flags & connectFlag.password) !== 0) fieldEnd(bytes, to, end);
  }

  #clientId(bytes: Buffer, from: number, to: number, level: number, isClean: boolean): void {
    const { maxClientIdBytes } = this.#limits;
    const limit = level === 3 ? Math.min(maxClientIdBytes, maxClientIdBytesOf31) : maxClientIdBytes;
    // [MQTT-3.1.3-8]: without an id nothing could be remembered of a session.
    const isAnonymous = from === to && !isClean;
    if (to - from <= limit && !isAnonymous && isText(bytes, from, to)) return;
    throw new Violation('bad_client_id', `a client id of ${to - from} bytes`, badClientId);
  }
}

/** [MQTT-3.1.2-3], [MQTT-3.1.2-13] to [MQTT-3.1.2-15], [MQTT-3.1.2-22]. */
function checkConnectFlags(flags: number): void {
  const hasWill = (flags & connectFlag.will) !== 0;
  const willQos = (flags >> 3) & 0x03;
  const hasOnlyPassword = (flags & connectFlag.password) !== 0 && (flags & connectFlag.username) === 0;
  const isWrong = (flags & connectFlag.reserved) !== 0 || willQos === 3 || hasOnlyPassword;
  if (isWrong || (!hasWill && (flags & connectFlag.willRest) !== 0)) throw malformed('a CONNECT with wrong flags');
}

/** [MQTT-2.3.1-1]: not 0. */
function checkPacketId(bytes: Buffer, at: number, end: number): void {
  if (at + 2 > end || bytes.readUInt16BE(at) === 0) throw malformed('a packet without a packet id');
}

/** Where the field at `at`, two bytes of length and so many more, ends. */
function fieldEnd(bytes: Buffer, at: number, end: number): number {
  const to = at + 2 > end ? Number.POSITIVE_INFINITY : at + 2 + bytes.readUInt16BE(at);
  if (to > end) throw malformed('a field that is longer than its packet');
  return to;
}

function malformed(what: string): Violation {
  return new Violation('malformed_packet', what);
}
