/** Random MQTT packets: well-formed ones of every kind, and what becomes of them when bytes are changed on the way. */
import type { Random } from '../../simulator/random.ts';
import {
  type ConnectOptions,
  connectPacket,
  disconnect,
  frame,
  pingreq,
  publishPacket,
  pubrel,
  subscribe,
  unsubscribe,
} from './raw-client.ts';

/** What a topic, a filter, an id or a user name may be made of. */
const good = [
  'a',
  'iot/lab/d1/telemetry',
  'iot/lab/d2/telemetry',
  'Käse/温度',
  '🌡',
  '\ufeff',
  'constructor',
  '__proto__',
];
const bad: readonly (string | Buffer)[] = [
  ...['', '/', '//', '+', '#', 'iot/+/#', '$SYS/x', '$share/g/t', '\0', 'a\nb', 'x'.repeat(300), 'a/'.repeat(120)],
  Buffer.from([0xff]),
  Buffer.from([0xed, 0xa0, 0x80]),
  Buffer.from([0xc0, 0x80]),
  Buffer.from([0xe2, 0x82]),
];
const lengths = [0, 1, 2, 10, 100, 127, 128, 1000, 20_000];

export class RandomPackets {
  readonly #random: Random;
  /** The part of packets and texts that are not as they should be. */
  readonly #wildness: number;

  constructor(random: Random, wildness: number) {
    this.#random = random;
    this.#wildness = wildness;
  }

  /** A CONNECT that is accepted. */
  connect(clientId: string): Buffer {
    return connectPacket({ clientId, clean: this.chance(0.7), keepaliveSeconds: this.below(100) });
  }

  /** Any packet, well-formed or not. */
  next(): Buffer {
    const packet = this.#wellFormed();
    return this.chance(this.#wildness) ? this.#mutated(packet) : packet;
  }

  chance(probability: number): boolean {
    return this.#random() < probability;
  }

  below(limit: number): number {
    return Math.floor(this.#random() * limit);
  }

  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)]!;
  }

  /** Mostly what a device sends. */
  #wellFormed(): Buffer {
    const id = this.chance(this.#wildness / 10) ? 0 : 1 + this.below(50);
    const kind = this.below(20);
    if (kind < 9) return this.#publish(id);
    if (kind < 11) return pubrel(id);
    if (kind < 13) return subscribe(id, ...this.#several());
    if (kind < 14) return unsubscribe(id, ...this.#several());
    if (kind < 15) return pingreq();
    if (kind < 17) return this.chance(this.#wildness) ? connectPacket(this.#connectOptions()) : this.#publish(id);
    if (kind < 18) return frame(this.pick([0x40, 0x50, 0x70]), Buffer.from([0, id]));
    if (kind < 19) return this.chance(0.3) ? disconnect() : this.#publish(id);
    if (!this.chance(this.#wildness)) return this.#publish(id);
    return frame(this.below(256), this.#bytes(this.pick([0, 1, 2, 3, 10, 200])));
  }

  #publish(id: number): Buffer {
    const topic = this.#text();
    const [qos, dup, retain] = [this.pick([0, 1, 2] as const), this.chance(0.1), this.chance(0.1)];
    return publishPacket({ topic, qos, id, dup, retain, payload: Buffer.alloc(this.pick(lengths), this.below(256)) });
  }

  #text(): string | Buffer {
    return this.chance(this.#wildness / 2) ? this.pick(bad) : this.pick(good);
  }

  #several(): (string | Buffer)[] {
    const count = this.chance(this.#wildness) ? this.below(4) : 1 + this.below(3);
    return Array.from({ length: count }, () => this.#text());
  }

  #connectOptions(): ConnectOptions {
    const will = { topic: this.#text(), payload: 'gone', qos: this.below(4) };
    const credentials = { username: this.#text(), password: 'x' };
    return {
      clientId: this.#text(),
      clean: this.chance(0.5),
      protocolLevel: this.pick([3, 4, 4, 4, 5, 6, 0x84]),
      ...(this.chance(0.5) && { will }),
      ...(this.chance(0.5) && { credentials }),
    };
  }

  #mutated(packet: Buffer): Buffer {
    const bytes = Buffer.from(packet);
    const at = this.below(bytes.length);
    const kind = this.below(8);
    if (kind < 3) {
      for (let i = 0; i <= this.below(4); i++) bytes[this.below(bytes.length)] = this.below(256);
      return bytes;
    }
    // Its type and flags, or its length.
    if (kind === 3) bytes[0] = this.below(256);
    if (kind === 4) bytes[1] = this.below(256);
    // A part is missing, comes twice, or is something else.
    if (kind === 5) return bytes.subarray(0, at);
    if (kind === 6) return Buffer.concat([bytes.subarray(0, at), bytes.subarray(Math.floor(at / 2))]);
    if (kind === 7) return Buffer.concat([bytes.subarray(0, at), this.#bytes(this.below(20)), bytes.subarray(at)]);
    return bytes;
  }

  #bytes(length: number): Buffer {
    return Buffer.from(Array.from({ length }, () => this.below(256)));
  }
}
