/**
 * The door: which connections are let in, and when, however they came. More from one address than it may have are closed. More than
 * the connect rate wait, unread and in order, until it is their turn: after an outage a whole fleet comes at once, and
 * refused devices would only come again.
 */
import type { Socket } from 'node:net';
import type { Clock } from '../../core/clock.ts';
import type { Closed } from '../closed.ts';
import type { GatewayOptions } from '../options.ts';
import { TokenBucket } from '../token-bucket.ts';
import { Addresses } from './addresses.ts';

const everyMs = 10;

export interface AdmissionContext {
  readonly options: Pick<GatewayOptions, 'maxConnections' | 'maxConnectionsPerAddress' | 'maxConnectsPerSecond'>;
  readonly closed: Closed;
  readonly clock: Clock;
}

export class Admission {
  readonly #context: AdmissionContext;
  readonly #addresses: Addresses;
  readonly #rate: TokenBucket;
  /** In the order in which they came. */
  readonly #waiting = new Map<Socket, () => void>();
  #stopTicking: (() => void) | null = null;
  /** That are open now, whoever they are. */
  connections = 0;
  /** How many had to wait. */
  delayed = 0;

  constructor(context: AdmissionContext) {
    const { options, clock } = context;
    this.#context = context;
    this.#addresses = new Addresses(options.maxConnectionsPerAddress);
    this.#rate = new TokenBucket(options.maxConnectsPerSecond, clock.nowMs());
  }

  /** A connection that was opened and is not read yet. `letIn`: it is its turn. */
  open(socket: Socket, letIn: () => void): void {
    const address = socket.remoteAddress ?? '';
    socket.on('error', () => {});
    if (this.connections >= this.#context.options.maxConnections) {
      this.#context.closed.add('too_many_connections', { address });
      socket.destroy();
      return;
    }
    if (!this.#addresses.enter(address)) {
      this.#context.closed.add('too_many_from_address', { address });
      socket.destroy();
      return;
    }
    this.connections++;
    socket.once('close', () => {
      this.connections--;
      this.#addresses.leave(address);
      this.#waiting.delete(socket);
    });
    this.#waiting.set(socket, letIn);
    this.#letIn();
    if (!this.#waiting.has(socket)) return;
    this.delayed++;
    this.#stopTicking ??= this.#context.clock.every(everyMs, () => this.#letIn());
  }

  /** Lets no one in any more. */
  close(): void {
    this.#stopTicking?.();
    for (const socket of this.#waiting.keys()) {
      this.#context.closed.add('gateway_closed', { address: socket.remoteAddress });
      socket.destroy();
    }
  }

  #letIn(): void {
    const nowMs = this.#context.clock.nowMs();
    for (const [socket, letIn] of this.#waiting) {
      if (this.#rate.waitMs(nowMs) > 0) return;
      this.#rate.take(1, nowMs);
      this.#waiting.delete(socket);
      letIn();
    }
    this.#stopTicking?.();
    this.#stopTicking = null;
  }
}
