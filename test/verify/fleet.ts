/** A small fleet with its truth: what it sends is appended to a real bus as a gateway would, and nothing else knows of it. */
import { createHash } from 'node:crypto';
import type { BusRecord } from '../../bus/port.ts';
import { deviceKey } from '../../core/reading.ts';
import { headers } from '../../core/topics.ts';
import type { Expectation, TruthMessage, TruthReading, TruthRun } from '../../core/truth.ts';
import { readTruth, type Truth } from '../../verify/truth-file.ts';

export const startMs = Date.UTC(2026, 0, 1, 12);

export const run: TruthRun = {
  kind: 'run',
  truthVersion: 1,
  version: '0',
  run: 'r1',
  scenario: 'test',
  seed: 1,
  startedAtMs: startMs,
  broker: 'mqtt://127.0.0.1:1883',
  qos: 1,
};

export interface Sending {
  readonly device: string;
  /** Since `startMs`. */
  readonly atMs: number;
  readonly payload: object | string;
  readonly reading: TruthReading | null;
  readonly expect?: Expectation;
  readonly acknowledged?: boolean;
  /** How many records of it are in the raw topic. */
  readonly records?: number;
  /** How often it was sent on purpose. */
  readonly copies?: number;
}

export class Fleet {
  readonly messages: TruthMessage[] = [];
  readonly records: BusRecord[] = [];
  readonly #next = new Map<string, number>();

  send({ device, atMs, payload, reading, ...over }: Sending): TruthMessage {
    const { expect = { as: 'stored' }, acknowledged = true, records = 1, copies = 1 } = over;
    const n = this.#next.get(device) ?? 0;
    this.#next.set(device, n + 1);
    const value = Buffer.from(typeof payload === 'string' ? payload : JSON.stringify(payload));
    const topic = `iot/lab/${device}/telemetry`;
    const sentMs = expect.as === 'not_sent' ? null : startMs + atMs;
    const message: TruthMessage = {
      kind: 'message',
      site: 'lab',
      device,
      n,
      topic,
      digest: createHash('sha256').update(value).digest('base64url'),
      reading,
      intendedMs: startMs + atMs,
      sentMs,
      acknowledgedMs: acknowledged ? startMs + atMs + 2 : null,
      copies,
      faults: [],
      expect,
    };
    this.messages.push(message);
    for (let copy = 0; copy < records; copy++) this.#append(deviceKey('lab', device), topic, value, atMs + 1);
    return message;
  }

  /** A reading of the temperature at its own time, which `behindMs` puts before the time of sending. */
  reading(device: string, atMs: number, temperature: number, over: Partial<Sending> & { behindMs?: number } = {}) {
    const { behindMs = 0, ...rest } = over;
    const timeMs = startMs + atMs - behindMs;
    const seq = this.#next.get(device) ?? 0;
    const fields = { temperature, door: seq % 2 === 0 };
    const payload = { ts: timeMs, seq, ...fields };
    return this.send({ device, atMs, payload, reading: { timeMs, seq, fields }, ...rest });
  }

  tick(atMs: number): void {
    this.#push({ key: '', value: null, headers: { [headers.tick]: '1' }, timestampMs: startMs + atMs });
  }

  lines(): string[] {
    return [run, ...this.messages].map((line) => JSON.stringify(line));
  }

  truth(): Promise<Truth> {
    return readTruth(this.lines(), 'truth.ndjson');
  }

  #append(key: string, topic: string, value: Buffer, atMs: number): void {
    const ingestId = `gateway-${this.records.length + 1}`;
    const names = { [headers.ingestId]: ingestId, [headers.mqttTopic]: topic };
    this.#push({ key, value, headers: names, timestampMs: startMs + atMs });
  }

  #push(record: Omit<BusRecord, 'partition' | 'offset'>): void {
    this.records.push({ ...record, partition: 0, offset: this.records.length });
  }
}

/** Twenty minutes of three devices, in which everything a truth can tell of happens, and of which all is well. */
export function unrulyFleet(): Fleet {
  const fleet = new Fleet();
  const seconds = 1200;
  for (let second = 0; second < seconds; second += 5) {
    const atMs = second * 1000;
    // Over 30 from minute 5 to 7: an alert fires and is resolved; a short peak in minute 10 does not last.
    const hot = (second >= 300 && second < 420) || (second >= 600 && second < 610);
    fleet.reading('s1', atMs, hot ? 35 + second / 1000 : 20 + second / 1000);
    fleet.reading('s2', atMs, second / 7, second % 35 === 0 ? { records: 2 } : {});
    // Every fourth comes after the next one.
    if (second % 20 !== 15) fleet.reading('s3', atMs, second);
    if (second % 20 === 0 && second > 0) fleet.reading('s3', atMs + 1, second, { behindMs: 5001 });
    if (second % 100 === 50) {
      const temperature = second / 10;
      // Neither `ts` nor `seq`: the time of receipt counts, and equal payloads are readings of their own.
      fleet.send({
        device: 'plain',
        atMs,
        payload: { temperature: 21.5 },
        reading: { timeMs: null, seq: null, fields: { temperature: 21.5 } },
      });
      fleet.send({
        device: 'numbered',
        atMs,
        payload: { seq: second, temperature },
        reading: { timeMs: null, seq: second, fields: { temperature } },
        records: 2,
      });
    }
  }
  const endMs = seconds * 1000;
  fleet.reading('s1', endMs, 21, { behindMs: 900_000 });
  fleet.reading('s1', endMs + 1, 22, { acknowledged: false });
  fleet.reading('s1', endMs + 2, 23, { acknowledged: false, records: 0 });
  fleet.reading('s1', endMs + 3, 24, { expect: { as: 'dead_letter', reason: 'future' }, behindMs: -3_600_000 });
  fleet.reading('s1', endMs + 4, 25, { expect: { as: 'dead_letter', reason: 'too_old' }, behindMs: startMs });
  fleet.send({
    device: 's1',
    atMs: endMs + 5,
    payload: '{',
    reading: null,
    expect: { as: 'dead_letter', reason: 'not_json' },
  });
  fleet.reading('s2', endMs, 26, { expect: { as: 'refused_by_broker' }, acknowledged: false, records: 0 });
  fleet.reading('s2', endMs, 27, { expect: { as: 'not_sent' }, acknowledged: false, records: 0 });
  return fleet;
}
