/** What a worker is given of the HTTP port of its primary: connections that ask for MQTT over WebSocket. */
import { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { Upgrade } from './messages.ts';

export class Upgrades {
  readonly #onUpgrade: (request: IncomingMessage, head: Buffer) => void;
  /** By number, until the primary has let go of them: few, and no longer than a message takes. */
  readonly #waiting = new Map<number, () => void>();

  constructor(onUpgrade: (request: IncomingMessage, head: Buffer) => void) {
    this.#onUpgrade = onUpgrade;
  }

  /** `socket`: not there when its client has gone on the way. */
  add({ number, url, headers, head }: Upgrade, socket: Socket | undefined): void {
    if (socket === undefined) return;
    socket.on('error', () => {});
    const request = new IncomingMessage(socket);
    Object.assign(request, { method: 'GET', url, headers });
    this.#waiting.set(number, () => this.#onUpgrade(request, head));
  }

  released(number: number): void {
    const take = this.#waiting.get(number);
    this.#waiting.delete(number);
    take?.();
  }
}
