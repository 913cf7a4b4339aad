/** The other end of MQTT 3.1.1, as much of it as devices need, that answers only as it is told. */
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { onTestFinished } from 'vitest';

export interface Received {
  readonly clientId: string;
  readonly topic: string;
  readonly payload: string;
  readonly qos: number;
  readonly isDup: boolean;
}

interface Session {
  readonly socket: Socket;
  clientId: string;
  unread: Buffer;
}

const packet = (head: number, ...body: number[]) => Buffer.from([head, body.length, ...body]);

export class RawBroker {
  readonly received: Received[] = [];
  /** Return code of every CONNACK. */
  connack = 0;
  /** Called for each PUBLISH; what it does not want answered it keeps: it is given the answer to call. */
  onPublish: (answer: () => void, message: Received, cut: () => void) => void = (answer) => answer();
  /** Password of the last CONNECT, `null` without. */
  password: string | null = null;
  disconnects = 0;
  port = 0;
  readonly #sessions = new Set<Session>();
  #server: Server | null = null;

  static async open(port = 0): Promise<RawBroker> {
    const broker = new RawBroker();
    await broker.listen(port);
    onTestFinished(() => broker.close());
    return broker;
  }

  async listen(port = this.port): Promise<void> {
    this.#server = createServer((socket) => this.#serve(socket)).listen(port, '127.0.0.1');
    await once(this.#server, 'listening');
    this.port = (this.#server.address() as AddressInfo).port;
  }

  get url(): string {
    return `mqtt://127.0.0.1:${this.port}`;
  }

  get connections(): number {
    return this.#sessions.size;
  }

  /** Ends every connection without a word. */
  cut(): void {
    for (const { socket } of this.#sessions) socket.destroy();
    this.#sessions.clear();
  }

  /** Stops or goes on reading what clients send. */
  pause(isPaused: boolean): void {
    for (const { socket } of this.#sessions) isPaused ? socket.pause() : socket.resume();
  }

  async close(): Promise<void> {
    this.cut();
    const server = this.#server;
    this.#server = null;
    if (server !== null) await new Promise((resolve) => server.close(resolve));
  }

  #serve(socket: Socket): void {
    const session: Session = { socket, clientId: '', unread: Buffer.alloc(0) };
    this.#sessions.add(session);
    socket.setNoDelay();
    socket.on('error', () => {});
    socket.on('close', () => this.#sessions.delete(session));
    socket.on('data', (chunk) => {
      session.unread = Buffer.concat([session.unread, chunk]);
      while (this.#takePacket(session));
    });
  }

  #takePacket(session: Session): boolean {
    const { unread } = session;
    let length = 0;
    let at = 1;
    for (let shift = 0; ; shift += 7, at++) {
      if (at >= unread.length) return false;
      length |= (unread[at]! & 0x7f) << shift;
      if (unread[at]! < 0x80) break;
    }
    const body = unread.subarray(at + 1, at + 1 + length);
    if (body.length < length) return false;
    session.unread = unread.subarray(at + 1 + length);
    this.#answer(session, unread[0]!, body);
    return !session.socket.destroyed;
  }

  #answer(session: Session, head: number, body: Buffer): void {
    const { socket } = session;
    const kind = head >> 4;
    if (kind === 1) {
      const texts = textsOf(body, 10);
      session.clientId = texts[0]!;
      this.password = (body[7]! & 0x40) === 0 ? null : texts.at(-1)!;
      socket.write(packet(0x20, 0, this.connack));
    } else if (kind === 3) this.#publish(session, head, body);
    else if (kind === 6) socket.write(packet(0x70, body[0]!, body[1]!));
    else if (kind === 12) socket.write(packet(0xd0));
    else if (kind === 14) this.disconnects++;
  }

  #publish({ socket, clientId }: Session, head: number, body: Buffer): void {
    const qos = (head >> 1) & 3;
    const [topic] = textsOf(body, 0);
    const afterTopic = 2 + Buffer.byteLength(topic!);
    const payload = body.subarray(afterTopic + (qos === 0 ? 0 : 2)).toString();
    const message = { clientId, topic: topic!, payload, qos, isDup: (head & 8) !== 0 };
    this.received.push(message);
    const [high, low] = [body[afterTopic]!, body[afterTopic + 1]!];
    const answer = () => void (qos > 0 && socket.write(packet(qos === 1 ? 0x40 : 0x50, high, low)));
    this.onPublish(answer, message, () => socket.destroy());
  }
}

/** Texts with a length before each. */
function textsOf(body: Buffer, from: number): string[] {
  const texts: string[] = [];
  for (let at = from; at + 2 <= body.length; ) {
    const length = body.readUInt16BE(at);
    texts.push(body.subarray(at + 2, at + 2 + length).toString());
    at += 2 + length;
  }
  return texts;
}
