/** A PUBLISH as a record of the raw topic: payload untouched, key and partition from the topic, `ingest.id` set once. */
import type { NewRecord } from '../../bus/port.ts';
import { partitionOf } from '../../core/partition.ts';
import { deviceKey } from '../../core/reading.ts';
import { type Route, routeOf } from '../../core/route.ts';
import { headers } from '../../core/topics.ts';

/** Topics of a fleet are few. At the bound the cache starts again from nothing. */
const maxCachedTopics = 100_000;
/** A payload is copied when it would keep a buffer in memory that is so many times its size. */
const wasteFactor = 2;

/** What Aedes hands to `authorizePublish`. */
export interface Publish {
  readonly topic: string;
  readonly payload: Buffer | string;
  readonly qos: 0 | 1 | 2;
  retain: boolean;
  /** Absent at QoS 0 and on wills. */
  readonly messageId?: number;
}

/** Where the messages of a topic go. */
export interface Place {
  readonly topic: string;
  readonly key: string;
  readonly partition: number;
  /** `null`: no route matches, the key is the client id. */
  readonly route: Route | null;
  /** Of the newest message of the topic: `turns.ts`. */
  turnMs: number;
}

export class RecordMaker {
  readonly #instance: string;
  readonly #partitions: number;
  readonly #places = new Map<string, Place>();
  #counter = 0;

  constructor(instance: string, partitions: number) {
    this.#instance = instance;
    this.#partitions = partitions;
  }

  placeOf(topic: string, clientId: string): Place {
    const known = this.#places.get(topic);
    if (known !== undefined) return known;
    const route = routeOf(topic);
    const key = route === null ? clientId : deviceKey(route.site, route.device);
    const place = { topic, key, partition: partitionOf(key, this.#partitions), route, turnMs: 0 };
    // Without a route the topic alone does not tell the place.
    if (route === null) return place;
    if (this.#places.size >= maxCachedTopics) this.#places.clear();
    this.#places.set(topic, place);
    return place;
  }

  /** As it waits for its turn: without its `ingest.id`. */
  message({ topic, key, partition, route }: Place, publish: Publish, clientId: string, timestampMs: number): NewRecord {
    const names: Record<string, string> = {
      [headers.ingestId]: '',
      [headers.mqttTopic]: topic,
    };
    if (route !== null && clientId !== route.device) names[headers.mqttClient] = clientId;
    if (publish.retain) names[headers.mqttRetain] = '1';
    return { key, partition, value: ownBytes(publish.payload), headers: names, timestampMs };
  }

  /** Gives the next `ingest.id`. Its counter rises with every call: records of a partition must be appended in this order. */
  number(record: NewRecord): void {
    const names: Record<string, string> = record.headers;
    names[headers.ingestId] = `${this.#instance}-${++this.#counter}`;
  }
}

/** Silence of a partition up to `timestampMs`. */
export function tick(partition: number, timestampMs: number): NewRecord {
  return { key: '', partition, value: null, headers: { [headers.tick]: '1' }, timestampMs };
}

export function isTick(record: NewRecord): boolean {
  return record.headers[headers.tick] !== undefined;
}

/** The parser's payloads are slices of what was read from the socket. */
function ownBytes(payload: Buffer | string): Buffer {
  if (typeof payload === 'string') return Buffer.from(payload);
  return payload.length * wasteFactor < payload.buffer.byteLength ? Buffer.from(payload) : payload;
}
