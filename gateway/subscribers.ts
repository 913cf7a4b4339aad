/** Which connections hear a topic, and how a message gets to them. The broker sees none of it: it would wait for them. */
import type { Connection } from './connection/connection.ts';

/** `gone`: nobody who subscribed is there, or no one of them acknowledged it before its connection ended. */
export type Delivery = 'acknowledged' | 'gone';

export type Subscriber = Pick<Connection, 'subscriptions' | 'outbox'>;

export class Subscribers {
  readonly #byTopic = new Map<string, Set<Subscriber>>();
  #onAdded: (topic: string, subscriber: Subscriber) => void = () => {};

  /** Calls `listener` with each that subscribes from now on. */
  onAdded(listener: (topic: string, subscriber: Subscriber) => void): void {
    this.#onAdded = listener;
  }

  add(topic: string, subscriber: Subscriber): void {
    if (subscriber.subscriptions.has(topic)) return;
    const all = this.#byTopic.get(topic) ?? new Set();
    this.#byTopic.set(topic, all.add(subscriber));
    subscriber.subscriptions.add(topic);
    this.#onAdded(topic, subscriber);
  }

  remove(topic: string, subscriber: Subscriber): void {
    subscriber.subscriptions.delete(topic);
    const all = this.#byTopic.get(topic);
    if (all?.delete(subscriber) && all.size === 0) this.#byTopic.delete(topic);
  }

  /** Its connection ended. */
  forget(subscriber: Subscriber): void {
    for (const topic of subscriber.subscriptions) this.remove(topic, subscriber);
  }

  /** Whether anyone subscribed to the topic. */
  hear(topic: string): boolean {
    return this.#byTopic.has(topic);
  }

  /** Resolves at the first acknowledgement, or when there can be none. Who waits no longer than that keeps the time. */
  deliver(topic: string, payload: Buffer): Promise<Delivery> {
    const sent = [...(this.#byTopic.get(topic) ?? [])].map(async ({ outbox }) => {
      if (!(await outbox.send(topic, payload))) throw new Error('gone');
    });
    return Promise.any(sent).then(
      () => 'acknowledged',
      () => 'gone',
    );
  }
}
