/**
 * What happens in one raw partition, as the generator made it. The oracle reads it as it is; the processor gets it as
 * records, bytes and headers.
 */
import type { BusRecord } from '../../../bus/port.ts';
import type { Fields } from '../../../core/reading.ts';
import { headers } from '../../../core/topics.ts';

export interface Tick {
  readonly kind: 'tick';
  /** The record's timestamp. */
  readonly atMs: number;
}

/** A payload that is no reading. */
export interface Garbage {
  readonly kind: 'garbage';
  readonly atMs: number;
  readonly device: string;
  /** Counts what the gateway appends; that of an earlier one: it was appended twice. */
  readonly appended: number;
}

export interface Sent {
  readonly kind: 'sent';
  readonly atMs: number;
  readonly device: string;
  readonly appended: number;
  /** Integer microseconds; `null`: the payload has no `ts`. */
  readonly timeUs: number | null;
  readonly seq: number | null;
  readonly fields: Fields;
}

export type StreamEvent = Tick | Garbage | Sent;

export const site = 'lab';

export function recordOf(event: StreamEvent, offset: number): BusRecord {
  const place = { timestampMs: event.atMs, partition: 0, offset };
  if (event.kind === 'tick') return { ...place, key: '', value: null, headers: { [headers.tick]: '1' } };
  return {
    ...place,
    key: `${site}/${event.device}`,
    value: Buffer.from(event.kind === 'sent' ? payloadOf(event) : '{'),
    headers: {
      [headers.ingestId]: `run-${event.appended}`,
      [headers.mqttTopic]: `iot/${site}/${event.device}/telemetry`,
    },
  };
}

function payloadOf({ timeUs, seq, fields }: Sent): string {
  return JSON.stringify({
    ...(timeUs === null ? {} : { ts: timeUs / 1000 }),
    ...(seq === null ? {} : { seq }),
    ...fields,
  });
}

/** One line for the message of a failing test. */
export function describeEvent(event: StreamEvent): string {
  const at = new Date(event.atMs).toISOString();
  if (event.kind === 'tick') return `${at} tick`;
  if (event.kind === 'garbage') return `${at} ${event.device} garbage`;
  const { device, appended, timeUs, seq, fields } = event;
  const time = timeUs === null ? 'no ts' : isoOfUs(timeUs);
  return `${at} ${device} ${time} seq ${seq ?? '-'} ${JSON.stringify(fields)} (run-${appended})`;
}

/** RFC 3339 in UTC; microseconds are shown only where there are any. */
export function isoOfUs(timeUs: number): string {
  const ms = Math.floor(timeUs / 1000);
  const us = timeUs - ms * 1000;
  const iso = new Date(ms).toISOString();
  return us === 0 ? iso : iso.replace('Z', `${String(us).padStart(3, '0')}Z`);
}
