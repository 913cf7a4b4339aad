/** Records of the commands topic, as others write them. */
import type { BusRecord, NewRecord } from '../../bus/port.ts';
import type { CommandOutcome } from '../../core/commands.ts';
import { headers } from '../../core/topics.ts';

export const startMs = 1_700_000_000_000;

export interface CommandOver {
  readonly key?: string;
  readonly payload?: string;
  readonly atMs?: number;
  readonly expiresInMs?: number;
  readonly isNow?: boolean;
}

export function commandRecord(id: string, over: CommandOver = {}): NewRecord {
  const { key = 'lab/d1', payload = id, atMs = startMs, expiresInMs = 10_000, isNow = false } = over;
  return {
    key,
    value: Buffer.from(payload),
    headers: {
      [headers.commandId]: id,
      [headers.commandExpires]: String(atMs + expiresInMs),
      ...(isNow ? { [headers.commandNow]: '1' } : {}),
    },
    timestampMs: atMs,
  };
}

export function outcomeRecord(id: string, outcome: CommandOutcome, atMs = startMs + 1, key = 'lab/d1'): NewRecord {
  return {
    key,
    value: null,
    headers: { [headers.commandId]: id, [headers.commandOutcome]: outcome, [headers.commandGateway]: 'other' },
    timestampMs: atMs,
  };
}

/** As partition 0 holds them, from its beginning. */
export function logOf(records: readonly NewRecord[]): BusRecord[] {
  return records.map((record, offset) => ({
    ...record,
    value: record.value === null ? null : Buffer.from(record.value),
    partition: 0,
    offset,
  }));
}
