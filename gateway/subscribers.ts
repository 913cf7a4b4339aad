/** Which connections hear a topic, and how a message gets to them. The broker sees none of it: it would wait for them. */
import type { Connection } from './connection/connection.ts';

/** `gone`: nobody who subscribed is there, or no one of them acknowledged it before its connection ended. */
export type Delivery = 'acknowledged' | 'gone';

export type Subscriber = Pick<Connection, 'subscriptions' | 'outbox'>;

export class Subscribers {
  readonly #byTopic = new Map<string, Set<Subscriber>>();

  add(topic: string, subscriber: Subscriber): void {
    const all = this.#byTopic.get(topic) ?? new Set();
    this.#byTopic.set(topic, all.add(subscriber));
    subscriber.subscriptions.add(topic);
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
