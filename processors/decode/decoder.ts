/** Which form a payload has is decided by its route; what it holds, by the decoder of that form. */
import type { BusRecord } from '../../bus/port.ts';
import { deviceKey, type Reading } from '../../core/reading.ts';
import type { IgnoredReason } from '../../core/reasons.ts';
import { type Route, routeOf } from '../../core/route.ts';
import { headers } from '../../core/topics.ts';
import { decodeJson } from './json.ts';
import { Undecodable } from './undecodable.ts';

/** The message is passed over on purpose. */
export class Ignored {
  readonly reason: IgnoredReason;

  constructor(reason: IgnoredReason) {
    this.reason = reason;
  }
}

/** Pure: bytes → readings of the sender, or why there are none. */
export type Decode = (payload: Buffer, route: Route, receivedAtMs: number) => readonly Reading[] | Undecodable;

const decoders: Readonly<Record<Route['decoder'], Decode>> = { json: decodeJson };

interface KnownRoute {
  readonly key: string;
  readonly route: Route;
  readonly decode: Decode;
}

/** Topics come again and again; at the bound all are looked up anew. */
const maxKnownTopics = 10_000;

export class Decoder {
  readonly #known = new Map<string, KnownRoute | null>();

  decode(record: BusRecord): readonly Reading[] | Undecodable | Ignored {
    const { value } = record;
    if (value === null || value.length === 0) {
      if (record.headers[headers.mqttRetain] === '1') return new Ignored('retained_clear');
      return new Undecodable('empty_payload', 'the payload has no bytes');
    }
    const topic = record.headers[headers.mqttTopic] ?? '';
    const known = this.#lookUp(topic);
    if (known === null) return new Undecodable('no_route', `no route matches the topic ${JSON.stringify(topic)}`);
    if (known.key !== record.key) {
      return new Undecodable('no_route', `the topic speaks for ${known.key}, the key of the record for another device`);
    }
    return known.decode(value, known.route, record.timestampMs);
  }

  #lookUp(topic: string): KnownRoute | null {
    const known = this.#known.get(topic);
    if (known !== undefined) return known;
    if (this.#known.size >= maxKnownTopics) this.#known.clear();
    const route = routeOf(topic);
    const found =
      route === null ? null : { key: deviceKey(route.site, route.device), route, decode: decoders[route.decoder] };
    this.#known.set(topic, found);
    return found;
  }
}
