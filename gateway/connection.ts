/** What the gateway knows of one client while it is connected. */
import type { Socket } from 'node:net';
import { AckQueue } from './acks.ts';
import { PacketIds } from './qos2.ts';
import { SocketReader } from './socket-reader.ts';

/** Why the gateway ends a connection. */
export type EndReason = 'keepalive_timeout' | 'gateway_closed';

export class Connection {
  readonly socket: Socket;
  readonly reader: SocketReader;
  readonly acks = new AckQueue();
  qos2 = new PacketIds(false);
  /** `site/device` of the devices it spoke for last of all connections: `presence.ts`. */
  readonly devices = new Set<string>();
  /** Empty until it is accepted. */
  clientId = '';
  /** As the client asked in its CONNECT; the broker is told otherwise. */
  isPersistent = false;
  keepaliveMs = 0;
  /** Why we end it; `null` when it is not us. */
  #endedBecause: EndReason | null = null;
  #heardBytes = 0;
  #heardAtMs: number;

  constructor(socket: Socket, maxPacketBytes: number, nowMs: number, mayReadAhead: () => boolean) {
    this.socket = socket;
    this.#heardAtMs = nowMs;
    const onPubrel = (packetId: number) => this.qos2.release(packetId);
    this.reader = new SocketReader(socket, { maxPacketBytes, mayReadAhead, onPubrel });
  }

  /** The broker accepts the client: from here on it may send more than its CONNECT. */
  accept(clientId: string, qos2: PacketIds): void {
    this.clientId = clientId;
    this.qos2 = qos2;
    this.reader.accept();
  }

  /**
   * [MQTT-3.1.2-24]: one and a half times the keepalive without a byte. Who is not read is not silent. Called about
   * every second.
   */
  isSilent(nowMs: number): boolean {
    const { bytesRead } = this.socket;
    if (bytesRead !== this.#heardBytes || this.reader.isThrottled || this.keepaliveMs === 0) {
      this.#heardBytes = bytesRead;
      this.#heardAtMs = nowMs;
    }
    return nowMs - this.#heardAtMs > 1.5 * this.keepaliveMs;
  }

  /** Closes it behind what was already written. */
  end(because: EndReason): void {
    this.#endedBecause = because;
    this.socket.destroySoon();
  }

  /** Why it ended, for the device status topic. */
  get endReason(): EndReason | 'disconnected' | 'connection_lost' {
    return this.#endedBecause ?? (this.reader.sawDisconnect ? 'disconnected' : 'connection_lost');
  }
}
