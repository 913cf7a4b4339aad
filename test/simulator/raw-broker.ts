/** The other end of MQTT 3.1.1, as much of it as devices need, that answers only as it is told. */
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, type TlsOptions } from 'node:tls';
import { generate, type IConnectPacket, type IPublishPacket, type Packet, parser } from 'mqtt-packet';
import { onTestFinished } from 'vitest';

export interface Received {
  readonly clientId: string;
  readonly topic: string;
  readonly payload: string;
  readonly qos: number;
  readonly isDup: boolean;
  /** Packet id; 0 at QoS 0. */
  readonly id: number;
}

interface Session {
  readonly socket: Socket;
  clientId: string;
}

export class RawBroker {
  readonly received: Received[] = [];
  readonly connects: IConnectPacket[] = [];
  /** Packet ids of every PUBREL. */
  readonly released: number[] = [];
  pings = 0;
  disconnects = 0;
  /** Return code of every CONNACK; `null`: none is sent. */
  connack: number | null = 0;
  sessionPresent = false;
  /** `false`: PINGREQ and PUBREL have no answer. */
  isAlive = true;
  /** Called for each PUBLISH; what it does not want answered it keeps: it is given the answer to call. */
  onPublish: (answer: () => void, message: Received, cut: () => void) => void = (answer) => answer();
  port = 0;
  readonly #tls: TlsOptions | null;
  readonly #sessions = new Set<Session>();
  #server: Server | null = null;

  private constructor(tls: TlsOptions | null) {
    this.#tls = tls;
  }

  static async open(port = 0, tls: TlsOptions | null = null): Promise<RawBroker> {
    const broker = new RawBroker(tls);
    await broker.listen(port);
    onTestFinished(() => broker.close());
    return broker;
  }

  async listen(port = this.port): Promise<void> {
    const serve = (socket: Socket) => this.#serve(socket);
    this.#server = this.#tls === null ? createServer(serve) : createTlsServer(this.#tls, serve);
    this.#server.listen(port, '127.0.0.1');
    await once(this.#server, 'listening');
    this.port = (this.#server.address() as AddressInfo).port;
  }

  get url(): string {
    return `mqtt${this.#tls === null ? '' : 's'}://127.0.0.1:${this.port}`;
  }

  get connections(): number {
    return this.#sessions.size;
  }

  /** Password of the last CONNECT, `null` without. */
  get password(): string | null {
    return this.connects.at(-1)?.password?.toString() ?? null;
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

  /** To every client. */
  say(bytes: Uint8Array): void {
    for (const { socket } of this.#sessions) socket.write(bytes);
  }

  async close(): Promise<void> {
    this.cut();
    const server = this.#server;
    this.#server = null;
    if (server !== null) await new Promise((resolve) => server.close(resolve));
  }

  #serve(socket: Socket): void {
    const session: Session = { socket, clientId: '' };
    this.#sessions.add(session);
    socket.setNoDelay();
    socket.on('error', () => {});
    socket.on('close', () => this.#sessions.delete(session));
    const packets = parser({ protocolVersion: 4 }).on('packet', (packet) => this.#answer(session, packet));
    socket.on('data', (chunk) => packets.parse(chunk));
  }

  #answer(session: Session, packet: Packet): void {
    const { socket } = session;
    if (packet.cmd === 'connect') {
      this.connects.push(packet);
      session.clientId = packet.clientId;
      const { connack: returnCode, sessionPresent } = this;
      if (returnCode !== null) socket.write(generate({ cmd: 'connack', returnCode, sessionPresent }));
    } else if (packet.cmd === 'publish') {
      this.#publish(session, packet);
    } else if (packet.cmd === 'pubrel') {
      this.released.push(packet.messageId!);
      if (this.isAlive) socket.write(generate({ cmd: 'pubcomp', messageId: packet.messageId! }));
    } else if (packet.cmd === 'pingreq') {
      this.pings++;
      if (this.isAlive) socket.write(generate({ cmd: 'pingresp' }));
    } else if (packet.cmd === 'disconnect') {
      this.disconnects++;
    }
  }

  #publish({ socket, clientId }: Session, { topic, payload, qos, dup, messageId = 0 }: IPublishPacket): void {
    const message = { clientId, topic, payload: payload.toString(), qos, isDup: dup, id: messageId };
    this.received.push(message);
    const answer = () => {
      if (qos > 0) socket.write(generate({ cmd: qos === 1 ? 'puback' : 'pubrec', messageId }));
    };
    this.onPublish(answer, message, () => socket.destroy());
  }
}
