/** Where messages are in the raw topic. It is read only when something does not agree, and in one go. */
import type { Bus } from '../bus/port.ts';
import { headers } from '../core/topics.ts';
import { digestOf, messageKey, readTopic } from './evidence.ts';
import type { DeviceTruth } from './truth-file.ts';

/** A record of the raw topic that holds a message. */
export interface Sighting {
  readonly partition: number;
  readonly offset: number;
  /** When the gateway took it. */
  readonly timestampMs: number;
}

/** By `messageKey`, in the order of the log. What the gateway appended twice (same `ingest.id`) is there once. */
export type Sightings = ReadonlyMap<string, readonly Sighting[]>;

export async function findInRaw(bus: Bus, topic: string, devices: readonly DeviceTruth[]): Promise<Sightings> {
  const found = new Map<string, Sighting[]>();
  const mqttTopics = new Set<string>();
  for (const { messages } of devices) {
    for (const message of messages) {
      mqttTopics.add(message.topic);
      found.set(messageKey(message.topic, message.digest), []);
    }
  }
  const taken = new Set<string>();
  await readTopic(bus, topic, (record) => {
    const mqttTopic = record.headers[headers.mqttTopic];
    if (mqttTopic === undefined || !mqttTopics.has(mqttTopic)) return;
    const sightings = found.get(messageKey(mqttTopic, digestOf(record.value)));
    if (sightings === undefined) return;
    const ingestId = record.headers[headers.ingestId];
    if (ingestId !== undefined) {
      if (taken.has(ingestId)) return;
      taken.add(ingestId);
    }
    const { partition, offset, timestampMs } = record;
    sightings.push({ partition, offset, timestampMs });
  });
  return found;
}
