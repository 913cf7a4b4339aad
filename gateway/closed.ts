/** Which connections the gateway refused or ended: every one is counted under its reason, and logged once in a while. */
import { type ByReason, count } from '../core/ledger.ts';
import { type ClosedReason, closedReasons } from '../core/reasons.ts';
import type { RareLog } from './log-rarely.ts';

/** Whom it hit, as far as that is known. */
export interface Peer {
  readonly clientId?: string;
  readonly address?: string | undefined;
}

export class Closed {
  readonly counts: ByReason<ClosedReason> = {};
  readonly #rareLog: RareLog;

  constructor(rareLog: RareLog) {
    this.#rareLog = rareLog;
  }

  /** `detail`: what exactly was wrong. */
  add(reason: ClosedReason, peer: Peer, detail?: string): void {
    count(this.counts, reason);
    const { intended, text, fix } = closedReasons[reason];
    if (!intended) this.#rareLog.warn({ reason, ...peer, detail }, `a connection was closed: ${text}; ${fix}`);
  }
}
