/** Which decoder reads a message, by the route of its MQTT topic. */
import type { BusRecord } from '../../bus/port.ts';
import type { Reading } from '../../core/reading.ts';
import { type Route, routeOf } from '../../core/route.ts';
import { headers } from '../../core/topics.ts';
import { decodeJson } from './json.ts';

export { DecodeError } from './json.ts';

export interface Decoder {
  readonly site: string;
  readonly device: string;
  /** Throws a DecodeError. */
  decode(record: BusRecord): Reading[];
}

/** Topics are few and messages many. Bounded: at the bound it starts again from nothing. */
const decoders = new Map<string, Decoder | null>();
const maxDecoders = 100_000;
const noBytes = Buffer.alloc(0);

/** `null` = no route matches. */
export function decoderFor(record: BusRecord): Decoder | null {
  const topic = record.headers[headers.mqttTopic] ?? '';
  let decoder = decoders.get(topic);
  if (decoder === undefined) {
    const route = routeOf(topic);
    decoder = route === null ? null : jsonDecoder(route);
    if (decoders.size >= maxDecoders) decoders.clear();
    decoders.set(topic, decoder);
  }
  return decoder;
}

function jsonDecoder({ site, device }: Route): Decoder {
  return {
    site,
    device,
    decode: ({ value, timestampMs }) => {
      const { timeUs, seq, fields } = decodeJson(value ?? noBytes);
      return [
        {
          site,
          device,
          timeUs: timeUs ?? timestampMs * 1000,
          seq,
          fields,
          receivedAtMs: timestampMs,
          clock: timeUs === null ? 'gateway' : 'device',
        },
      ];
    },
  };
}
