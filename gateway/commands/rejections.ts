/**
 * The way back: tells a device that is connected here, and listens on `iot/{site}/{device}/errors`, why a message of it was
 * dead-lettered. Best effort: what cannot be told now is dropped and counted; the dead letter stays where it is.
 */
import type { BusRecord } from '../../bus/port.ts';
import { type ByReason, count } from '../../core/ledger.ts';
import type { UntoldReason } from '../../core/reasons.ts';
import { routeOf } from '../../core/route.ts';
import { headers } from '../../core/topics.ts';
import { topicToDevice } from '../identity/to-device.ts';
import type { Subscribers } from '../subscribers.ts';

/** Of one device, without their PUBACK. */
const maxWaiting = 20;
const maxExcerptBytes = 256;

export class Rejections {
  /** In this run. */
  told = 0;
  readonly untold: ByReason<UntoldReason> = {};
  readonly #subscribers: Subscribers;
  /** By topic. */
  readonly #waiting = new Map<string, number>();

  constructor(subscribers: Subscribers) {
    this.#subscribers = subscribers;
  }

  /** Records of the DLQ. */
  read(records: readonly BusRecord[]): void {
    for (const record of records) {
      const route = routeOf(record.headers[headers.mqttTopic] ?? '');
      if (route !== null) this.#tell(topicToDevice(route.site, route.device, 'errors'), record);
    }
  }

  #tell(topic: string, record: BusRecord): void {
    if (!this.#subscribers.hear(topic)) return;
    const waiting = this.#waiting.get(topic) ?? 0;
    if (waiting >= maxWaiting) {
      count(this.untold, 'too_many_waiting');
      return;
    }
    this.#waiting.set(topic, waiting + 1);
    void this.#subscribers.deliver(topic, rejectionOf(record)).then((delivery) => {
      if (delivery === 'acknowledged') this.told++;
      else count(this.untold, 'not_acknowledged');
      const left = this.#waiting.get(topic)! - 1;
      if (left === 0) this.#waiting.delete(topic);
      else this.#waiting.set(topic, left);
    });
  }
}

/** `index`: which reading of the message, from 0; `null`: the whole message. `payload`: how it begins. */
function rejectionOf({ value, headers: given, timestampMs }: BusRecord): Buffer {
  const index = given[headers.sourceIndex];
  return Buffer.from(
    JSON.stringify({
      reason: given[headers.dlqReason] ?? null,
      error: given[headers.dlqError] ?? null,
      receivedAtMs: timestampMs,
      ingestId: given[headers.ingestId] ?? null,
      topic: given[headers.mqttTopic],
      index: index === undefined ? null : Number(index),
      payload: value === null ? '' : value.toString('utf8', 0, maxExcerptBytes),
      payloadBytes: value?.length ?? 0,
    }),
  );
}
