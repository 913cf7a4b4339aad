/** Ledgers as others read them off the bus: parsed, for what comes from there may be of a newer program or of a stranger. */
import { z } from 'zod';

const counter = z.number().min(0);
const byReason = z.record(z.string(), counter);

/** `PartitionLedger`. */
export const partitionLedgerSchema = z.object({
  firstOffset: counter,
  nextOffset: counter,
  ticks: counter,
  redelivered: counter,
  messages: counter,
  decoded: counter,
  ignored: byReason,
  deadLettered: byReason,
  readings: counter,
  duplicates: counter,
  rejected: byReason,
  accepted: counter,
  stored: counter,
  refused: byReason,
  windowed: counter,
  late: counter,
  notWindowed: byReason,
});

/** `GatewayLedger`. What has a default is not told by a gateway of an older program. */
export const gatewayLedgerSchema = z.object({
  received: counter,
  inherited: counter.default(0),
  appended: counter,
  spooled: counter.default(0),
  dropped: byReason,
  held: counter,
});
