/** Raw records for the tests of the stages: a small fleet that does everything a fleet does wrong, from one seed. */
import type { BusRecord } from '../../bus/port.ts';
import { headers } from '../../core/topics.ts';

export const startMs = Date.UTC(2026, 0, 1, 12);

export interface Message {
  readonly device?: string;
  readonly payload: object | string;
  /** Since `startMs`. */
  readonly atMs: number;
  readonly ingestId?: string;
  readonly headers?: Record<string, string>;
}

/** A raw record of one partition; a number is a tick at that moment. */
export function rawRecord(message: Message | number, offset: number): BusRecord {
  if (typeof message === 'number') {
    return {
      key: '',
      value: null,
      headers: { [headers.tick]: '1' },
      timestampMs: startMs + message,
      partition: 0,
      offset,
    };
  }
  const { device = 's1', payload, atMs, ingestId } = message;
  const value = Buffer.from(typeof payload === 'string' ? payload : JSON.stringify(payload));
  return {
    key: `lab/${device}`,
    value,
    headers: {
      [headers.mqttTopic]: `iot/lab/${device}/telemetry`,
      ...(ingestId === undefined ? {} : { [headers.ingestId]: ingestId }),
      ...message.headers,
    },
    timestampMs: startMs + atMs,
    partition: 0,
    offset,
  };
}

export function rawRecords(...messages: (Message | number)[]): BusRecord[] {
  return messages.map(rawRecord);
}

/** xorshift32: the same numbers for the same seed, 0 ≤ n < 1. */
export function seeded(seed: number): () => number {
  let state = seed * 2_654_435_761 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 0x1_0000_0000;
  };
}

/**
 * Minutes of a fleet: out of order, sent twice, appended twice, late, silent, in the future, malformed, without `ts` or
 * `seq`, several readings at one time, texts and booleans, and ticks.
 */
export function unrulyFleet(seed: number, count: number): BusRecord[] {
  const random = seeded(seed);
  const records: BusRecord[] = [];
  let nowMs = 0;
  for (let n = 0; n < count; n++) {
    nowMs += Math.floor(random() * (random() < 0.02 ? 40_000 : 900));
    const message = unrulyMessage(random, n, nowMs);
    if (typeof message === 'object' && records.length > 0 && random() < 0.08) {
      const old = records[Math.floor(random() * records.length)]!;
      // Sent again by the device, or (with its ingest.id) appended again by the gateway.
      const again = random() < 0.5 ? { ...old.headers, [headers.ingestId]: `run-${n + 1}` } : old.headers;
      records.push({ ...old, headers: again, timestampMs: startMs + nowMs, offset: records.length });
    } else {
      records.push(rawRecord(message, records.length));
    }
  }
  return records;
}

function unrulyMessage(random: () => number, n: number, nowMs: number): Message | number {
  const kind = random();
  if (kind < 0.05) return nowMs;
  const device = `s${Math.floor(random() * random() * 6)}`;
  const base = { device, atMs: nowMs, ingestId: `run-${n + 1}` };
  if (kind < 0.08) return { ...base, payload: ['{', '[]', '{"a":[1]}', '{"ts":"x","a":1}', ''][n % 5]! };
  const values = { temperature: 20 + Math.round(random() * 150) / 10, ...(random() < 0.3 ? { rpm: n % 7 } : {}) };
  if (kind < 0.12) return { ...base, payload: random() < 0.5 ? values : { seq: n, ...values } };
  if (kind < 0.14) return { ...base, payload: { ts: startMs + nowMs, door: n % 2 === 0, state: `s${n % 3}` } };
  const behindMs = random() < 0.05 ? random() * 1_500_000 : random() < 0.3 ? random() * 20_000 : 0;
  const aheadMs = random() < 0.01 ? 120_000 : 0;
  const ts = startMs + Math.floor((nowMs - behindMs + aheadMs) / 100) * 100;
  return { ...base, payload: { ts, ...(random() < 0.8 ? { seq: n } : {}), ...values } };
}
