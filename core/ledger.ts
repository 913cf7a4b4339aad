/**
 * The ledger: what became of everything that was taken. Counters are plain numbers that live in the snapshot of their
 * partition, so that they survive restarts, and that add up (`imbalances` names every equation that does not).
 */
import type { DeadLetterReason, DroppedReason, IgnoredReason, NotWindowedReason, RejectedReason } from './reasons.ts';

export type ByReason<R extends string> = Partial<Record<R, number>>;

/** Of one raw partition, from its first offset to `nextOffset`. */
export interface PartitionLedger {
  /** Offset of the first record ever counted. */
  firstOffset: number;
  /** Offset after the last record counted: the independent witness. */
  nextOffset: number;
  ticks: number;
  /** The same ingest id a second time: the gateway appended it twice. */
  redelivered: number;
  messages: number;
  decoded: number;
  ignored: ByReason<IgnoredReason>;
  deadLettered: ByReason<DeadLetterReason>;
  readings: number;
  duplicates: number;
  rejected: ByReason<RejectedReason>;
  accepted: number;
  stored: number;
  /** Keys are the store's refusal reasons. */
  refused: ByReason<string>;
  windowed: number;
  late: number;
  notWindowed: ByReason<NotWindowedReason>;
}

/** Of one gateway run, in messages. */
export interface GatewayLedger {
  received: number;
  /** What an earlier run had left in the spool. */
  inherited: number;
  /** On the bus. */
  appended: number;
  /** In the spool now: acknowledged, not yet appended. */
  spooled: number;
  dropped: ByReason<DroppedReason>;
  /** Taken, and neither appended nor spooled yet. */
  held: number;
}

export function emptyPartitionLedger(firstOffset: number): PartitionLedger {
  return {
    firstOffset,
    nextOffset: firstOffset,
    ticks: 0,
    redelivered: 0,
    messages: 0,
    decoded: 0,
    ignored: {},
    deadLettered: {},
    readings: 0,
    duplicates: 0,
    rejected: {},
    accepted: 0,
    stored: 0,
    refused: {},
    windowed: 0,
    late: 0,
    notWindowed: {},
  };
}

export function emptyGatewayLedger(): GatewayLedger {
  return { received: 0, inherited: 0, appended: 0, spooled: 0, dropped: {}, held: 0 };
}

/** Counts one more under a reason. */
export function count<R extends string>(counters: ByReason<R>, reason: R, by = 1): void {
  counters[reason] = (counters[reason] ?? 0) + by;
}

export function total(counters: ByReason<string>): number {
  let sum = 0;
  for (const value of Object.values(counters)) sum += value ?? 0;
  return sum;
}

/**
 * Adds ledgers of different partitions into one. `records` takes the place of the offsets, which add up to nothing.
 */
export type LedgerTotals = Omit<PartitionLedger, 'firstOffset' | 'nextOffset'> & { records: number };

export function addLedgers(ledgers: Iterable<PartitionLedger>): LedgerTotals {
  const { firstOffset: _first, nextOffset: _next, ...zero } = emptyPartitionLedger(0);
  const sum: LedgerTotals = { records: 0, ...zero };
  for (const ledger of ledgers) {
    sum.records += ledger.nextOffset - ledger.firstOffset;
    for (const [name, value] of Object.entries(ledger)) {
      if (name === 'firstOffset' || name === 'nextOffset') continue;
      const key = name as keyof typeof zero;
      if (typeof value === 'number') (sum[key] as number) += value;
      else
        for (const [reason, n] of Object.entries(value as ByReason<string>))
          count(sum[key] as ByReason<string>, reason, n);
    }
  }
  return sum;
}

/** The equations of the ledger that do not hold, in words; empty when it balances. */
export function imbalances(ledger: PartitionLedger | LedgerTotals): string[] {
  const records = 'records' in ledger ? ledger.records : ledger.nextOffset - ledger.firstOffset;
  const equations: [string, number, number][] = [
    ['records = ticks + redelivered + messages', records, ledger.ticks + ledger.redelivered + ledger.messages],
    [
      'messages = decoded + ignored + deadLettered',
      ledger.messages,
      ledger.decoded + total(ledger.ignored) + total(ledger.deadLettered),
    ],
    [
      'readings = duplicates + rejected + accepted',
      ledger.readings,
      ledger.duplicates + total(ledger.rejected) + ledger.accepted,
    ],
    ['accepted = stored + refused', ledger.accepted, ledger.stored + total(ledger.refused)],
    [
      'accepted = windowed + late + notWindowed',
      ledger.accepted,
      ledger.windowed + ledger.late + total(ledger.notWindowed),
    ],
  ];
  return unequal(equations);
}

export function gatewayImbalances({ received, inherited, appended, spooled, dropped, held }: GatewayLedger): string[] {
  return unequal([
    [
      'received + inherited = appended + spooled + dropped + held',
      received + inherited,
      appended + spooled + total(dropped) + held,
    ],
  ]);
}

function unequal(equations: readonly [string, number, number][]): string[] {
  return equations
    .filter(([, left, right]) => left !== right)
    .map(([text, left, right]) => `${text}: ${left} against ${right}`);
}
