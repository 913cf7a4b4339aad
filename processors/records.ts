/** Outputs as records of their topics. Each carries the timestamp of the record it comes from. */
import type { BusRecord, NewRecord } from '../bus/port.ts';
import { cloudEventHeaders } from '../core/alert.ts';
import { headers } from '../core/topics.ts';
import type { AlertTransition, DeadLetter, LateReading, RawPoint } from './outputs.ts';
import { rfc3339 } from './rfc3339.ts';
import type { WindowRun } from './window/measurements.ts';

/** The original bytes and headers, with why and where from. */
export function deadLetterRecord(topic: string, { source, reason, error, index }: DeadLetter): NewRecord {
  return {
    key: source.key,
    value: source.value,
    headers: {
      ...source.headers,
      ...sourceHeaders(topic, source, index),
      [headers.dlqReason]: reason,
      [headers.dlqError]: error,
    },
    timestampMs: source.timestampMs,
  };
}

/** The reading as JSON, how late it was, and the windows it missed. */
export function lateRecord(topic: string, { source, reading, index, lateByMs, windows }: LateReading): NewRecord {
  const { site, device, timeUs, seq, fields } = reading;
  const missed = windows.map(missedWindows);
  return jsonRecord(topic, source, index, { site, device, timeUs, seq, fields, lateByMs, windows: missed });
}

/** An accepted reading as JSON. */
export function readingRecord(topic: string, { source, reading, index, late }: RawPoint): NewRecord {
  const { site, device, timeUs, seq, clock, fields } = reading;
  return jsonRecord(topic, source, index, { site, device, timeUs, seq, clock, fields, late });
}

/** Of a measurement: from the start of the first window to the end of the last, and how many where it is not one. */
export function missedWindows({ measurement: { name, every }, startUs, endUs, count }: WindowRun): object {
  return {
    name,
    ...(every === null ? {} : { every }),
    start: rfc3339(startUs),
    end: rfc3339(endUs),
    ...(count === 1 ? {} : { count }),
  };
}

export function alertRecord({ alert, timeUs, sourceTimestampMs }: AlertTransition): NewRecord {
  return {
    key: alert.fingerprint,
    value: Buffer.from(JSON.stringify(alert)),
    headers: cloudEventHeaders(alert, Math.floor(timeUs / 1000)),
    timestampMs: sourceTimestampMs,
  };
}

/** The current state of an alert; a resolved one is told and then cleared, so that late joiners see only what is open. */
export function alertStateRecords({ alert, sourceTimestampMs }: AlertTransition): NewRecord[] {
  const record = { key: alert.fingerprint, headers: {}, timestampMs: sourceTimestampMs };
  const state = { ...record, value: Buffer.from(JSON.stringify(alert)) };
  return alert.status === 'resolved' ? [state, { ...record, value: null }] : [state];
}

function jsonRecord(topic: string, source: BusRecord, index: number, body: object): NewRecord {
  return {
    key: source.key,
    value: Buffer.from(JSON.stringify(body)),
    headers: { ...sourceHeaders(topic, source, index), 'content-type': 'application/json' },
    timestampMs: source.timestampMs,
  };
}

function sourceHeaders(topic: string, source: BusRecord, index: number | null): Record<string, string> {
  return {
    [headers.sourceTopic]: topic,
    [headers.sourcePartition]: String(source.partition),
    [headers.sourceOffset]: String(source.offset),
    ...(index === null ? {} : { [headers.sourceIndex]: String(index) }),
  };
}
