/** What the gateway knows of one client while it is connected. */
import type { ClosedReason } from '../../core/reasons.ts';
import type { Access } from '../identity/access.ts';
import { AckQueue, type Total } from '../ingest/acks.ts';
import type { PacketIds } from '../ingest/qos2.ts';
import type { FrameRun } from '../packets/frames.ts';
import { PacketCheck, type PacketLimits } from '../packets/packets.ts';
import type { Violation } from '../packets/violation.ts';
import { Outbox } from './outbox.ts';
import { Pace, type PaceLimits } from './pace.ts';
import type { Sender } from './read-ahead.ts';
import { SocketReader, type SocketReaderContext } from './socket-reader.ts';
import type { Arrival, Wire } from './wire.ts';

/** A client that does not read its answers for so long is closed. */
const unreadAnswersMs = 5000;
/** How often it is asked whether it is silent: about so long ago may what is found then have come. */
const askedEveryMs = 1000;

/** What all connections share, and whom they tell. */
export interface ConnectionContext extends Pick<SocketReaderContext, 'readAhead' | 'clock' | 'onSlowed'> {
  readonly options: PacketLimits & PaceLimits;
  readonly acks: Total;
  readonly admit: (connection: Connection, run: FrameRun) => readonly [FrameRun | null, FrameRun | null];
  /** The gateway closes it; called once. `detail`: what exactly was wrong. */
  readonly onClosing: (connection: Connection, because: ClosedReason, detail?: string) => void;
}

export class Connection {
  readonly wire: Wire;
  readonly address: string;
  /** The name in the certificate that it showed: `identity/logins.ts`. */
  readonly certificate: string | null;
  readonly openedAtMs: number;
  readonly reader: SocketReader;
  /** As `readAhead` knows what its wire keeps, beside what its reader does. */
  readonly wireSender: Sender = { cut: (because) => this.cut(because) };
  readonly acks: AckQueue;
  readonly outbox: Outbox;
  /** Both `null` until it is accepted. */
  access: Access | null = null;
  qos2: PacketIds | null = null;
  /** When its token ends; never, if it showed none. */
  expiresAtMs = Number.POSITIVE_INFINITY;
  /** Topics that it subscribed to: `subscribers.ts`. */
  readonly subscriptions = new Set<string>();
  /** `site/device` of the devices it spoke for last of all connections: `presence.ts`. */
  readonly devices = new Set<string>();
  /** Empty until its CONNECT has come. */
  clientId = '';
  /** As the client asked in its CONNECT; the broker is told otherwise. */
  isPersistent = false;
  keepaliveMs = 0;
  willTopic: string | null = null;
  readonly #context: ConnectionContext;
  /** Why we close it; `null` when it is not us. */
  #closedBecause: ClosedReason | null = null;
  #heardBytes = 0;
  #heardAtMs: number;
  #writtenBytes = 0;
  #writtenAtMs: number;

  constructor({ wire, address, certificate, sinceMs }: Arrival, context: ConnectionContext) {
    this.wire = wire;
    this.address = address;
    this.certificate = certificate;
    this.acks = new AckQueue(context.acks);
    this.outbox = new Outbox(wire);
    this.#context = context;
    this.openedAtMs = sinceMs;
    this.#heardAtMs = this.openedAtMs;
    this.#writtenAtMs = this.openedAtMs;
    const { options, readAhead, clock, onSlowed } = context;
    this.reader = new SocketReader(wire, {
      check: new PacketCheck(options),
      pace: new Pace(options, this.openedAtMs),
      readAhead,
      clock,
      sender: this,
      onSlowed,
      admit: (run) => context.admit(this, run),
      onPubrel: (packetId) => this.qos2?.release(packetId),
      onPuback: (packetId) => this.outbox.acknowledged(packetId),
      onViolation: (violation) => this.refuse(violation),
    });
  }

  /** The broker accepts the client: from here on it may send more than its CONNECT. */
  accept(clientId: string, access: Access, qos2: PacketIds): void {
    this.clientId = clientId;
    this.access = access;
    this.qos2 = qos2;
    this.reader.accept();
  }

  /**
   * [MQTT-3.1.2-24]: one and a half times the keepalive without a byte, and no later: up to a second earlier. Who is not
   * read is not silent. Called about every second.
   */
  isSilent(nowMs: number): boolean {
    const { bytesRead } = this.wire;
    if (bytesRead !== this.#heardBytes || this.reader.hasWaiting || this.keepaliveMs === 0) {
      this.#heardBytes = bytesRead;
      this.#heardAtMs = nowMs;
    }
    const marginMs = Math.min(askedEveryMs, this.keepaliveMs / 4);
    return nowMs - this.#heardAtMs >= 1.5 * this.keepaliveMs - marginMs;
  }

  /** Answers wait to be written to it, and nothing of them could be for a while. Called about every second. */
  isNotReading(nowMs: number): boolean {
    const { bytesWritten, writableLength, writableNeedDrain } = this.wire;
    const written = bytesWritten - writableLength;
    if (written !== this.#writtenBytes || !writableNeedDrain) {
      this.#writtenBytes = written;
      this.#writtenAtMs = nowMs;
    }
    return nowMs - this.#writtenAtMs >= unreadAnswersMs;
  }

  /** Why it is about to be closed; the first reason counts. */
  blame(because: ClosedReason, detail?: string): void {
    if (this.#closedBecause !== null) return;
    this.#closedBecause = because;
    this.#context.onClosing(this, because, detail);
  }

  /** Closes it behind what was already written. */
  end(because: ClosedReason): void {
    this.blame(because);
    this.wire.destroySoon();
  }

  /** Closes it at once: it may not read what was written either. */
  cut(because: ClosedReason): void {
    this.blame(because);
    this.wire.destroy();
  }

  /** Why it ended, for the device status topic. */
  get endReason(): ClosedReason | 'disconnected' | 'connection_lost' {
    return this.#closedBecause ?? (this.reader.sawDisconnect ? 'disconnected' : 'connection_lost');
  }

  /** It broke a rule; it is told, where MQTT has a word for that. */
  refuse({ reason, message, returnCode }: Violation): void {
    this.blame(reason, message);
    if (returnCode === null) {
      this.wire.destroy();
    } else {
      this.wire.write(Buffer.from([0x20, 0x02, 0x00, returnCode]));
      this.wire.destroySoon();
    }
  }
}
