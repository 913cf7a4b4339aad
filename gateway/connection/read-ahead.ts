/**
 * What was read from all sockets and not yet handed to the broker, and the policy at its bounds. Over the bound on whole
 * packets no socket is read before the broker asks for more. Over the bound on packets that have not come whole, the
 * connection goes whose packet has been on its way the longest: who sends at all is faster than who only begins.
 */
import type { ClosedReason } from '../../core/reasons.ts';
import type { GatewayOptions } from '../options.ts';

export type ReadAheadLimits = Pick<GatewayOptions, 'maxReadAheadBytes' | 'maxUnfinishedBytes'>;

/** A connection, as far as this file knows one. */
export interface Sender {
  cut(because: ClosedReason): void;
}

export class ReadAhead {
  readonly #limits: ReadAheadLimits;
  /** Bytes of the unfinished packet of each sender, the longest unfinished first. */
  readonly #unfinished = new Map<Sender, number>();
  #unfinishedBytes = 0;
  /** Of whole packets, with what each run of them costs. */
  waitingBytes = 0;

  constructor(limits: ReadAheadLimits) {
    this.#limits = limits;
  }

  get bytes(): number {
    return this.waitingBytes + this.#unfinishedBytes;
  }

  get isFull(): boolean {
    return this.waitingBytes >= this.#limits.maxReadAheadBytes;
  }

  /** What the sender's unfinished packet takes now. `isNew`: it is another one than the last time. */
  unfinished(sender: Sender, bytes: number, isNew: boolean): void {
    const before = this.#unfinished.get(sender) ?? 0;
    if (before > 0 && (isNew || bytes === 0)) this.#unfinished.delete(sender);
    if (bytes > 0) this.#unfinished.set(sender, bytes);
    this.#unfinishedBytes += bytes - before;
    while (this.#unfinishedBytes > this.#limits.maxUnfinishedBytes) this.#giveUpLongest();
  }

  #giveUpLongest(): void {
    const [sender, bytes] = this.#unfinished.entries().next().value!;
    this.#unfinished.delete(sender);
    this.#unfinishedBytes -= bytes;
    sender.cut('unfinished_packet');
  }
}
