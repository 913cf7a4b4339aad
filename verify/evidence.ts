/**
 * What the topics beside the raw one say of the devices of a truth: dead letters, late readings, alerts. Read once, kept
 * only where the truth may ask for it, so that memory follows the truth and not the topics.
 */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { Bus, BusRecord } from '../bus/port.ts';
import { deviceKey } from '../core/reading.ts';
import { headers, type TopicNames } from '../core/topics.ts';
import { identityOf } from './identity.ts';
import type { Truth } from './truth-file.ts';

export interface DeadLetter {
  readonly reason: string;
  /** Where its message is in the raw topic; offset `null`: the gateway could not append it. */
  readonly partition: number;
  readonly offset: number | null;
  readonly timestampMs: number;
}

export interface SeenAlert {
  readonly id: string;
  readonly rule: string;
  readonly startsAt: string;
  readonly seq: number;
  readonly status: 'pending' | 'firing' | 'resolved';
  readonly reason: string;
  readonly value: number;
  readonly timestampMs: number;
}

export interface Evidence {
  /** By `messageKey`; repeats of a dead letter left out. */
  readonly deadLetters: ReadonlyMap<string, readonly DeadLetter[]>;
  /** Device → identities of its readings in the late topic. */
  readonly late: ReadonlyMap<string, ReadonlySet<string>>;
  /** Device → its alerts in the order of the topic, repeats included. */
  readonly alerts: ReadonlyMap<string, readonly SeenAlert[]>;
  /** Records of these topics that are not what they should be. */
  readonly unreadable: number;
}

/** Finds a message wherever its bytes are: equal payloads of two devices are told apart by their topics. */
export function messageKey(topic: string, digest: string): string {
  return `${digest} ${topic}`;
}

export function digestOf(value: Buffer | null): string {
  return createHash('sha256')
    .update(value ?? '')
    .digest('base64url');
}

const scalar = z.union([z.number(), z.string(), z.boolean()]);
const lateReading = z.object({
  site: z.string(),
  device: z.string(),
  timeUs: z.number(),
  seq: z.number().nullable(),
  fields: z.record(z.string(), scalar),
});
const alertBody = z.object({
  id: z.string(),
  rule: z.string(),
  site: z.string(),
  device: z.string(),
  startsAt: z.string(),
  seq: z.number(),
  status: z.enum(['pending', 'firing', 'resolved']),
  reason: z.string(),
  value: z.number(),
});

export async function readEvidence(bus: Bus, topics: TopicNames, truth: Truth): Promise<Evidence> {
  const devices = new Set(truth.devices.map(({ key }) => key));
  const messages = digestsByTopic(truth);
  let unreadable = 0;

  const deadLetters = new Map<string, DeadLetter[]>();
  const sources = new Set<string>();
  await readTopic(bus, topics.dlq, (record) => {
    const topic = record.headers[headers.mqttTopic] ?? '';
    const digest = digestOf(record.value);
    if (messages.get(topic)?.has(digest) !== true) return;
    const key = messageKey(topic, digest);
    const letter = deadLetterOf(record);
    const source = `${letter.partition}/${letter.offset} ${letter.reason}`;
    if (letter.offset !== null && sources.has(source)) return;
    sources.add(source);
    const known = deadLetters.get(key);
    if (known === undefined) deadLetters.set(key, [letter]);
    else known.push(letter);
  });

  const late = new Map<string, Set<string>>();
  await readTopic(bus, topics.late, (record) => {
    if (!devices.has(record.key)) return;
    const reading = parsed(lateReading, record);
    if (reading === null) unreadable++;
    else setIn(late, record.key).add(identityOf(reading.timeUs, reading.seq, reading.fields));
  });

  const alerts = new Map<string, SeenAlert[]>();
  await readTopic(bus, topics.alerts, (record) => {
    const body = parsed(alertBody, record);
    if (body === null) {
      unreadable++;
      return;
    }
    const { site, device, ...alert } = body;
    const key = deviceKey(site, device);
    if (!devices.has(key)) return;
    const known = alerts.get(key);
    const seen = { ...alert, timestampMs: record.timestampMs };
    if (known === undefined) alerts.set(key, [seen]);
    else known.push(seen);
  });
  return { deadLetters, late, alerts, unreadable };
}

/** The texts are those of the truth: a million keys of their own would cost as much again. */
function digestsByTopic({ devices }: Truth): Map<string, Set<string>> {
  const found = new Map<string, Set<string>>();
  for (const { messages } of devices) for (const { topic, digest } of messages) setIn(found, topic).add(digest);
  return found;
}

/** Every record of a topic, once. `onRecord` must not throw. */
export async function readTopic(bus: Bus, topic: string, onRecord: (record: BusRecord) => void): Promise<void> {
  const following = await bus.follow(topic, 'beginning', (records) => {
    for (const record of records) onRecord(record);
  });
  await following.close();
}

/** The value of a JSON record, `null` when it is something else. */
export function parsed<T>(schema: z.ZodType<T>, { value }: BusRecord): T | null {
  if (value === null) return null;
  try {
    return schema.safeParse(JSON.parse(value.toString())).data ?? null;
  } catch {
    return null;
  }
}

function deadLetterOf(record: BusRecord): DeadLetter {
  const offset = record.headers[headers.sourceOffset];
  return {
    reason: record.headers[headers.dlqReason] ?? '',
    partition: Number(record.headers[headers.sourcePartition]),
    offset: offset === undefined ? null : Number(offset),
    timestampMs: record.timestampMs,
  };
}

function setIn(sets: Map<string, Set<string>>, key: string): Set<string> {
  const known = sets.get(key) ?? new Set<string>();
  sets.set(key, known);
  return known;
}
