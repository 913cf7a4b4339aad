/** What stands before several gateways: a TCP port that passes each new connection on to one of those that are up. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { pipeline } from 'node:stream';

export class Balancer {
  readonly #ports: () => readonly number[];
  readonly #sockets = new Set<Socket>();
  readonly #server = createServer((client) => this.#join(client));
  #turn = 0;

  /** `ports`: of those that are up now, on this machine. */
  constructor(ports: () => readonly number[]) {
    this.#ports = ports;
  }

  async listen(): Promise<number> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    return (this.#server.address() as AddressInfo).port;
  }

  async close(): Promise<void> {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await once(this.#server, 'close');
  }

  #join(client: Socket): void {
    client.setNoDelay(true);
    this.#keep(client);
    const ports = this.#ports();
    if (ports.length === 0) return void client.destroy();
    const gateway = connect({ port: ports[this.#turn++ % ports.length]!, host: '127.0.0.1', noDelay: true });
    this.#keep(gateway);
    // When one side ends or fails, so does the other: nothing here answers in a gateway's place.
    pipeline(client, gateway, () => client.destroy());
    pipeline(gateway, client, () => gateway.destroy());
  }

  #keep(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => this.#sockets.delete(socket));
  }
}
