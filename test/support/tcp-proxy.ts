/** A TCP proxy between us and Kafka that knows where a request and an answer ends, and loses what a test tells it to. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/** Kinds of request, by the number that the protocol gives them. */
export const produceRequest = 0;
export const fetchRequest = 1;
export const joinGroupRequest = 11;
export const syncGroupRequest = 14;

/**
 * What becomes of a request, or of an answer: `pass` it on; `swallow` it and stay silent; `cut` the connection, when
 * half of it has been passed on.
 */
export type Fate = 'pass' | 'swallow' | 'cut';

export class KafkaProxy {
  /** Decides about each request of a client, by its kind. */
  ofRequest: (kind: number) => Fate = () => 'pass';
  /** Decides about each answer of the broker, by the kind of its request. */
  ofAnswer: (kind: number) => Fate = () => 'pass';
  /** Port of the broker on this machine. */
  upstreamPort = 0;
  readonly #connections = new Set<Socket>();
  readonly #server = createServer((client) => this.#join(client));

  async listen(): Promise<number> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    return (this.#server.address() as AddressInfo).port;
  }

  passAll(): void {
    this.ofRequest = () => 'pass';
    this.ofAnswer = () => 'pass';
  }

  cutAll(): void {
    for (const socket of this.#connections) socket.destroy();
  }

  async close(): Promise<void> {
    this.#server.close();
    this.cutAll();
    await once(this.#server, 'close');
  }

  #join(client: Socket): void {
    const broker = connect(this.upstreamPort, '127.0.0.1');
    const kinds = new Map<number, number>();
    relay(client, broker, (frame) => {
      const kind = frame.readInt16BE(4);
      kinds.set(frame.readInt32BE(8), kind);
      return this.ofRequest(kind);
    });
    relay(broker, client, (frame) => {
      const request = frame.readInt32BE(4);
      const kind = kinds.get(request)!;
      kinds.delete(request);
      return this.ofAnswer(kind);
    });
    for (const [socket, other] of [
      [client, broker],
      [broker, client],
    ] as const) {
      this.#connections.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => {
        this.#connections.delete(socket);
        other.destroy();
      });
    }
  }
}

/** Passes on whole frames: four bytes of length, then as many bytes. */
function relay(from: Socket, to: Socket, fateOf: (frame: Buffer) => Fate): void {
  let waiting = Buffer.alloc(0);
  from.on('data', (chunk) => {
    waiting = Buffer.concat([waiting, chunk]);
    while (waiting.length >= 4 && waiting.length >= 4 + waiting.readInt32BE(0)) {
      const frame = waiting.subarray(0, 4 + waiting.readInt32BE(0));
      waiting = waiting.subarray(frame.length);
      const fate = fateOf(frame);
      if (fate === 'pass') to.write(frame);
      if (fate === 'cut') {
        to.write(frame.subarray(0, frame.length / 2), () => {
          from.destroy();
          to.destroy();
        });
        return;
      }
    }
  });
}
