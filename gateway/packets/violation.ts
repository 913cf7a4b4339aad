/** A client broke a rule of MQTT or one of our limits: its connection is closed. */
import type { ClosedReason } from '../../core/reasons.ts';

export class Violation extends Error {
  readonly reason: ClosedReason;
  /** Of the CONNACK that tells the client why; `null` where MQTT has nothing to tell it with. */
  readonly returnCode: number | null;

  constructor(reason: ClosedReason, message: string, returnCode: number | null = null) {
    super(message);
    this.reason = reason;
    this.returnCode = returnCode;
  }
}
