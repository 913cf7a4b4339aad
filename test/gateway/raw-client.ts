/** An MQTT 3.1.1 client that does only what it is told, byte by byte: no resends, no pings, no answers by itself. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { eventually } from '../support/eventually.ts';

export interface Packet {
  /** Packet type (MQTT 3.1.1 §2.2.1). */
  readonly type: number;
  /** Packet id of PUBACK, PUBREC, PUBCOMP, SUBACK; return code of CONNACK; else 0. */
  readonly id: number;
  /** Last byte: the return code of a SUBACK with one topic. */
  readonly last: number;
}

export const type = { connack: 2, puback: 4, pubrec: 5, pubcomp: 7, suback: 9, pingresp: 13 } as const;

export interface ConnectOptions {
  readonly clientId?: string | Buffer;
  readonly clean?: boolean;
  readonly keepaliveSeconds?: number;
  readonly protocolLevel?: number;
  readonly will?: { readonly topic: string | Buffer; readonly payload: string; readonly qos: number };
  readonly credentials?: { readonly username: string | Buffer; readonly password: string };
}

export interface PublishOptions {
  readonly topic?: string | Buffer;
  readonly payload?: string | Buffer;
  readonly qos?: 0 | 1 | 2;
  readonly id?: number;
  readonly dup?: boolean;
  readonly retain?: boolean;
}

export class RawClient {
  readonly socket: Socket;
  readonly packets: Packet[] = [];
  isClosed = false;
  #received = Buffer.alloc(0);

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (chunk) => this.#parse(chunk));
    socket.on('error', () => {});
    socket.on('close', () => {
      this.isClosed = true;
    });
  }

  /** Connects TCP only. `from`: the address it comes from, on Linux any of 127.0.0.0/8. */
  static async open(port: number, from?: string): Promise<RawClient> {
    const address = from === undefined ? {} : { localAddress: from };
    const socket = connect({ port, host: '127.0.0.1', ...address, noDelay: true });
    await once(socket, 'connect');
    return new RawClient(socket);
  }

  send(...parts: Buffer[]): void {
    this.socket.write(Buffer.concat(parts));
  }

  /** The ids of all packets of a type so far. */
  ids(packetType: number): number[] {
    return this.packets.filter((packet) => packet.type === packetType).map(({ id }) => id);
  }

  /** Waits until `count` packets of a type came; returns their ids. */
  async received(packetType: number, count = 1): Promise<number[]> {
    await eventually(() => this.ids(packetType).length >= count, { what: `${count} packets of type ${packetType}` });
    return this.ids(packetType);
  }

  /** Reads nothing more: what it is sent stays in the buffers of the network. */
  stopReading(): void {
    this.socket.pause();
  }

  async closed(): Promise<void> {
    await eventually(() => this.isClosed, { what: 'the connection is closed' });
  }

  /** A round trip: what was sent before has been read by the gateway. */
  async ping(): Promise<void> {
    const before = this.ids(type.pingresp).length;
    this.send(pingreq());
    await this.received(type.pingresp, before + 1);
  }

  #parse(chunk: Buffer): void {
    this.#received = Buffer.concat([this.#received, chunk]);
    while (this.#received.length >= 2 && this.#received.length >= 2 + this.#received[1]!) {
      const length = this.#received[1]!;
      const packetType = this.#received[0]! >> 4;
      const id = packetType === type.connack ? this.#received[3]! : length >= 2 ? this.#received.readUInt16BE(2) : 0;
      this.packets.push({ type: packetType, id, last: this.#received[1 + length]! });
      this.#received = this.#received.subarray(2 + length);
    }
  }
}

export function connectPacket(options: ConnectOptions = {}): Buffer {
  const { clientId = 'd1', clean = true, keepaliveSeconds = 60, protocolLevel = 4, will, credentials } = options;
  const flags =
    (clean ? 0x02 : 0) | (will === undefined ? 0 : 0x04 | (will.qos << 3)) | (credentials === undefined ? 0 : 0xc0);
  const parts = [text('MQTT'), Buffer.from([protocolLevel, flags]), uint16(keepaliveSeconds)];
  // MQTT 5 has properties here.
  if (protocolLevel === 5) parts.push(Buffer.from([0]));
  parts.push(text(clientId));
  if (will !== undefined) parts.push(text(will.topic), text(will.payload));
  if (credentials !== undefined) parts.push(text(credentials.username), text(credentials.password));
  return frame(0x10, ...parts);
}

export function publishPacket(options: PublishOptions = {}): Buffer {
  const { topic = 'iot/lab/d1/telemetry', payload = '{"t":1}', qos = 1, id = 1, dup = false, retain = false } = options;
  const first = 0x30 | (dup ? 8 : 0) | (qos << 1) | (retain ? 1 : 0);
  return frame(first, text(topic), qos === 0 ? Buffer.alloc(0) : uint16(id), Buffer.from(payload));
}

export function pubrel(id: number): Buffer {
  return frame(0x62, uint16(id));
}

export function pingreq(): Buffer {
  return frame(0xc0);
}

export function disconnect(): Buffer {
  return frame(0xe0);
}

export function subscribe(id: number, ...topics: readonly (string | Buffer)[]): Buffer {
  return frame(0x82, uint16(id), ...topics.flatMap((topic) => [text(topic), Buffer.from([1])]));
}

export function unsubscribe(id: number, ...topics: readonly (string | Buffer)[]): Buffer {
  return frame(0xa2, uint16(id), ...topics.map(text));
}

export function frame(first: number, ...parts: Buffer[]): Buffer {
  const body = Buffer.concat(parts);
  const length: number[] = [];
  let left = body.length;
  do {
    length.push((left & 0x7f) | (left > 0x7f ? 0x80 : 0));
    left >>= 7;
  } while (left > 0);
  return Buffer.concat([Buffer.from([first, ...length]), body]);
}

function text(value: string | Buffer): Buffer {
  return Buffer.concat([uint16(Buffer.byteLength(value)), Buffer.from(value)]);
}

function uint16(value: number): Buffer {
  return Buffer.from([value >> 8, value & 0xff]);
}
