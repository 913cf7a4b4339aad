/** What a run counts, and how long it took. */
import { Histogram, type Quantiles } from './histogram.ts';

/**
 * A transmission is one sending of a message on purpose: a message that faults double has several, one that they lose has
 * none. Transmissions: `made + copies = sent + waiting + skipped + lostOnPurpose + refused before they were sent`, and above QoS 0
 * `sent = acknowledged + in flight + given up`.
 */
export interface SimulatorStats {
  readonly devices: number;
  readonly connected: number;
  /** Were connected at least once. */
  readonly everConnected: number;
  /** Messages. */
  readonly made: number;
  /** Transmissions of a message beyond its first. */
  readonly copies: number;
  /** At least once. */
  readonly sent: number;
  /** Sent again on a new connection. */
  readonly resent: number;
  readonly acknowledged: number;
  /** Held by the devices: sent without acknowledgement, waiting, or delayed on purpose. */
  readonly unacknowledged: number;
  /** Not sent, because the device held `maxHeld` others. */
  readonly skipped: number;
  /** Messages that faults lose before they are sent. */
  readonly lostOnPurpose: number;
  /** Given up as the broker had to refuse them. */
  readonly refused: number;
  /** Fault → messages that it hit. */
  readonly faults: Readonly<Record<string, number>>;
  /** Connections that failed or were lost, by no fault of the scenario. */
  readonly errors: number;
  readonly lastError: string | null;
  /** Reason → errors, the most frequent first; beyond 50 reasons the new ones are counted together. */
  readonly errorsByReason: Readonly<Record<string, number>>;
  readonly reconnects: number;
  /** From when a connection was to be opened to CONNACK; `null` before the first. */
  readonly connectMs: Quantiles | null;
  /** From the time a message was to be sent to when it first was: what this generator, its bounds and lost connections add. */
  readonly sendLagMs: Quantiles | null;
  /** From the time a message was to be sent to its acknowledgement; `null` before the first. */
  readonly ackMs: Quantiles | null;
}

/** How long things took, as long as the run goes on. */
export interface Latencies {
  readonly connectMs: Histogram;
  readonly sendLagMs: Histogram;
  readonly ackMs: Histogram;
}

/** A reason may name an address or a port. */
const maxReasons = 50;
const otherReasons = 'other reasons';

export class Tally implements Latencies {
  connected = 0;
  everConnected = 0;
  made = 0;
  copies = 0;
  sent = 0;
  resent = 0;
  acknowledged = 0;
  held = 0;
  skipped = 0;
  lostOnPurpose = 0;
  refused = 0;
  lastError: string | null = null;
  reconnects = 0;
  readonly connectMs = new Histogram();
  readonly sendLagMs = new Histogram();
  readonly ackMs = new Histogram();
  readonly #faults = new Map<string, number>();
  readonly #errors = new Map<string, number>();

  hitBy(faults: readonly string[]): void {
    for (const fault of faults) this.#faults.set(fault, (this.#faults.get(fault) ?? 0) + 1);
  }

  /** A connection failed or was lost. */
  failed(reason: string): void {
    this.lastError = reason;
    const name = this.#errors.has(reason) || this.#errors.size < maxReasons ? reason : otherReasons;
    this.#errors.set(name, (this.#errors.get(name) ?? 0) + 1);
  }

  stats(devices: number): SimulatorStats {
    return {
      devices,
      connected: this.connected,
      everConnected: this.everConnected,
      made: this.made,
      copies: this.copies,
      sent: this.sent,
      resent: this.resent,
      acknowledged: this.acknowledged,
      unacknowledged: this.held,
      skipped: this.skipped,
      lostOnPurpose: this.lostOnPurpose,
      refused: this.refused,
      faults: Object.fromEntries([...this.#faults].sort(([a], [b]) => (a < b ? -1 : 1))),
      errors: [...this.#errors.values()].reduce((total, count) => total + count, 0),
      lastError: this.lastError,
      errorsByReason: Object.fromEntries([...this.#errors].sort(([, a], [, b]) => b - a)),
      reconnects: this.reconnects,
      connectMs: this.connectMs.quantiles(),
      sendLagMs: this.sendLagMs.quantiles(),
      ackMs: this.ackMs.quantiles(),
    };
  }
}
