/**
 * A device's MQTT connection: opened again for as long as it takes, with everything unacknowledged sent again. Below it
 * is one `Link` at a time; this file is the only layer that retries.
 */
import type { Dial } from './endpoint.ts';
import { answerTypes, Link, type LinkHandler } from './link.ts';
import type { Outbox, Transmission } from './outbox.ts';
import {
  type ConnectFields,
  connectPacket,
  disconnectPacket,
  pingPacket,
  publishPacket,
  pubrelPacket,
} from './packets.ts';
import type { Random } from './random.ts';
import { Session } from './session.ts';

export interface ConnectionSettings extends ConnectFields {
  readonly dial: Dial;
  readonly qos: 0 | 1 | 2;
  readonly connectTimeoutMs: number;
  readonly reconnectMs: number;
  readonly maxReconnectMs: number;
  /** `false`: each call of `open` is one attempt. */
  readonly isReopened: boolean;
}

export interface ConnectionEvents {
  /** `isFirst`: of this device. `connectMs`: from when it was to be opened to CONNACK. */
  connected(isFirst: boolean, connectMs: number): void;
  /** An open connection ended, or one could not be opened. */
  lost(wasOpen: boolean, reason: string): void;
  sent(transmission: Transmission, isResend: boolean): void;
  /** PUBACK or PUBCOMP came; once per transmission. Never for QoS 0. */
  acknowledged(transmission: Transmission): void;
}

export interface ConnectionTimer {
  nowMs(): number;
  /** Calls `run` when it is time, or a little later. */
  at(atMs: number, run: () => void): void;
}

const refusals: Readonly<Record<number, string>> = {
  1: 'Unacceptable protocol version',
  2: 'Identifier rejected',
  3: 'Server unavailable',
  4: 'Bad user name or password',
  5: 'Not authorized',
};
/** Of half a keepalive each, after the one at whose end it asked with a PINGREQ. */
const silentChecks = 3;

export class Connection implements LinkHandler {
  readonly #settings: ConnectionSettings;
  readonly #outbox: Outbox;
  readonly #events: ConnectionEvents;
  readonly #timer: ConnectionTimer;
  readonly #random: Random;
  readonly #session = new Session();
  #link: Link | null = null;
  #closing: Link | null = null;
  /** Left open by their device, and read no more. At most one for each time it was told to. */
  #abandoned: readonly Link[] = [];
  #dueMs = 0;
  #isOpen = false;
  #wasEverOpen = false;
  #failures = 0;
  #isStalled = false;
  #isOffline = false;
  #isClosed = false;
  /** Since the last look at whether the other end lives. */
  #hasWritten = false;
  #hasHeard = false;
  #silentFor = 0;

  constructor(
    settings: ConnectionSettings,
    outbox: Outbox,
    events: ConnectionEvents,
    timer: ConnectionTimer,
    random: Random,
  ) {
    this.#settings = settings;
    this.#outbox = outbox;
    this.#events = events;
    this.#timer = timer;
    this.#random = random;
  }

  /** `dueMs`: when it was to be opened. */
  open(dueMs = this.#timer.nowMs()): void {
    if (this.#link !== null || this.#isOffline || this.#isClosed) return;
    const { dial, connectTimeoutMs } = this.#settings;
    this.#dueMs = dueMs;
    const link = Link.open(dial, this);
    this.#link = link;
    this.#timer.at(this.#timer.nowMs() + connectTimeoutMs, () => {
      if (this.#link === link && !this.#isOpen) this.#fail(`no CONNACK within ${connectTimeoutMs} ms`);
    });
  }

  /** Sends what waits, as far as it may. */
  pump(): void {
    const link = this.#link;
    if (link === null || !this.#isOpen) return;
    while (this.#isOpen && !link.isFull) {
      const sending = this.#outbox.take();
      if (sending === null) return;
      this.#send(link, sending.transmission, sending.isResend);
    }
  }

  /** Breaks the connection without a word; it is opened again as after any loss. */
  cut(): void {
    if (this.#link !== null) this.#fail('cut on purpose');
  }

  /** Breaks the connection, and opens none until `goOnline`. */
  goOffline(): void {
    this.#isOffline = true;
    this.cut();
  }

  goOnline(): void {
    this.#isOffline = false;
    this.#failures = 0;
    this.open();
  }

  /** Reads nothing more of what the broker says, and goes on writing, until it finds that nothing comes back. */
  stall(): void {
    this.#isStalled = this.#link !== null;
    this.#link?.stall();
  }

  /** Opens a new connection in place of a stalled one, which stays open and unread until `close` or the broker ends it. */
  abandon(): void {
    const link = this.#link;
    if (link === null || !this.#isStalled) return;
    link.abandon();
    this.#abandoned = [...this.#abandoned, link];
    this.#lose('left open on purpose');
    this.open();
  }

  /** Says DISCONNECT after what was written before it; resolves when the socket is closed. No more attempts follow. */
  async close(): Promise<void> {
    const link = this.#link;
    const isPolite = this.#isOpen && !this.#isStalled;
    this.#isClosed = true;
    this.#isOpen = false;
    this.#link = null;
    for (const abandoned of this.#abandoned) abandoned.destroy();
    if (!isPolite) link?.destroy();
    else {
      this.#closing = link;
      await link?.close(disconnectPacket);
    }
  }

  /** Ends a close that takes too long. */
  destroy(): void {
    this.#closing?.destroy();
  }

  // What its link calls.

  onReady(): void {
    this.#link!.write(connectPacket(this.#settings));
  }

  onAnswer(type: number, body: number): void {
    this.#hasHeard = true;
    if (type === answerTypes.connack) this.#connected(body);
    else if (!this.#isOpen) this.#fail(`the broker sent packet type ${type} before CONNACK`);
    else if (type === answerTypes.pubrec) this.#received(body);
    else if (type === answerTypes.puback || type === answerTypes.pubcomp) this.#completed(body);
  }

  onPause(): void {
    this.pump();
  }

  onDrain(): void {
    this.pump();
  }

  onEnd(reason: string): void {
    this.#ended(reason);
  }

  #connected(body: number): void {
    const code = body & 0xff;
    if (this.#isOpen || code !== 0) {
      this.#fail(this.#isOpen ? 'a second CONNACK' : `Connection refused: ${refusals[code] ?? `return code ${code}`}`);
      return;
    }
    this.#isOpen = true;
    this.#failures = 0;
    this.#silentFor = 0;
    this.#events.connected(!this.#wasEverOpen, Math.max(0, this.#timer.nowMs() - this.#dueMs));
    this.#wasEverOpen = true;
    const isResumed = body >> 8 === 1;
    if (isResumed) this.#resume(this.#link!);
    else this.#forgetSession();
    this.#watch(this.#link!);
  }

  /** Under the packet ids that the broker knows. */
  #resume(link: Link): void {
    for (const [id, transmission] of this.#session.inFlight()) {
      if (!this.#outbox.isKept(transmission)) {
        this.#session.complete(id);
      } else if (this.#session.isReleased(id)) {
        this.#release(link, id);
      } else {
        this.#events.sent(transmission, true);
        this.#publish(link, transmission, id, true);
      }
    }
  }

  #forgetSession(): void {
    this.#session.clear();
    this.#outbox.connectionLost();
  }

  #received(id: number): void {
    this.#session.release(id);
    this.#release(this.#link!, id);
  }

  #completed(id: number): void {
    const transmission = this.#session.complete(id);
    if (transmission !== null && this.#outbox.settle(transmission)) this.#events.acknowledged(transmission);
  }

  #send(link: Link, transmission: Transmission, isResend: boolean): void {
    this.#events.sent(transmission, isResend);
    if (this.#settings.qos > 0) {
      this.#publish(link, transmission, this.#session.begin(transmission), isResend);
      return;
    }
    this.#outbox.settle(transmission);
    this.#publish(link, transmission, null, false);
  }

  #publish(link: Link, { message }: Transmission, id: number | null, dup: boolean): void {
    link.write(publishPacket(message.topic, message.payload, { qos: this.#settings.qos, id, dup }));
    this.#hasWritten = true;
  }

  #release(link: Link, id: number): void {
    link.write(pubrelPacket(id));
    this.#hasWritten = true;
  }

  /** Looks every half keepalive: asks when either side was silent, and gives up when nothing comes back. */
  #watch(link: Link): void {
    const { keepaliveSeconds } = this.#settings;
    if (keepaliveSeconds === 0) return;
    this.#timer.at(this.#timer.nowMs() + keepaliveSeconds * 500, () => {
      if (this.#link !== link) return;
      this.#silentFor = this.#hasHeard ? 0 : this.#silentFor + 1;
      if (this.#silentFor >= silentChecks) {
        this.#fail(`no answer for ${keepaliveSeconds} s`);
        return;
      }
      if (!this.#hasHeard || !this.#hasWritten) link.write(pingPacket);
      this.#hasHeard = false;
      this.#hasWritten = false;
      this.#watch(link);
    });
  }

  #fail(reason: string): void {
    this.#link!.destroy();
    this.#ended(reason);
  }

  #ended(reason: string): void {
    this.#lose(reason);
    if (this.#isOffline || !this.#settings.isReopened) return;
    const { reconnectMs, maxReconnectMs } = this.#settings;
    const longestMs = Math.min(maxReconnectMs, reconnectMs * 2 ** Math.min(this.#failures, 30));
    this.#failures++;
    const dueMs = this.#timer.nowMs() + longestMs * (0.5 + this.#random() / 2);
    this.#timer.at(dueMs, () => this.open(dueMs));
  }

  #lose(reason: string): void {
    const wasOpen = this.#isOpen;
    this.#link = null;
    this.#isOpen = false;
    this.#isStalled = false;
    if (this.#settings.clean) this.#forgetSession();
    this.#events.lost(wasOpen, reason);
  }
}
