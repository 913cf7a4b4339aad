/** A PUBLISH as a record of the raw topic: payload untouched, key and partition from the topic, `ingest.id` set once. */
import type { NewRecord } from '../bus/port.ts';
import { partitionOf } from '../core/partition.ts';
import { deviceKey } from '../core/reading.ts';
import { routeOf } from '../core/route.ts';
import { headers } from '../core/topics.ts';

/** Topics of a fleet are few. At the bound it starts again from nothing. */
const maxTopics = 100_000;

interface Place {
  readonly key: string;
  readonly partition: number;
  /** The client id that adds nothing: that of the device itself. */
  readonly device: string;
}

export interface Message {
  readonly topic: string;
  readonly payload: Buffer | string;
  readonly retain: boolean;
}

export class RecordMaker {
  readonly #instance: string;
  readonly #partitions: number;
  readonly #places = new Map<string, Place>();
  #counter = 0;
  #newestMs = 0;

  constructor(instance: string, partitions: number) {
    this.#instance = instance;
    this.#partitions = partitions;
  }

  make({ topic, payload, retain }: Message, clientId: string, nowMs: number): NewRecord {
    const { key, partition, device } = this.#placeOf(topic, clientId);
    const names: Record<string, string> = {
      [headers.ingestId]: `${this.#instance}-${++this.#counter}`,
      [headers.mqttTopic]: topic,
    };
    if (clientId !== device && clientId !== '') names[headers.mqttClient] = clientId;
    if (retain) names[headers.mqttRetain] = '1';
    // A clock that is set back must not make the times of a partition go back.
    this.#newestMs = Math.max(this.#newestMs, nowMs);
    return { key, partition, value: ownBytes(payload), headers: names, timestampMs: this.#newestMs };
  }

  #placeOf(topic: string, clientId: string): Place {
    const known = this.#places.get(topic);
    if (known !== undefined) return known;
    const route = routeOf(topic);
    const key = route === null ? clientId : deviceKey(route.site, route.device);
    const place = { key, partition: partitionOf(key, this.#partitions), device: route?.device ?? clientId };
    // Without a route the key is the client's, and the topic alone does not tell it.
    if (route === null) return place;
    if (this.#places.size >= maxTopics) this.#places.clear();
    this.#places.set(topic, place);
    return place;
  }
}

/** The parser's payloads are slices of what was read from the socket; a small one must not keep a large one in memory. */
function ownBytes(payload: Buffer | string): Buffer {
  if (typeof payload === 'string') return Buffer.from(payload);
  return payload.length * 8 < payload.buffer.byteLength && payload.buffer.byteLength > 16_384
    ? Buffer.from(payload)
    : payload;
}
