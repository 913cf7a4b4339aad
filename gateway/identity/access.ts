/**
 * What one connection may publish and subscribe to. By default an identity speaks for its site and device alone, wherever
 * the routes say that a topic is theirs, and hears what is said to that device. Rules of its own take the place of that.
 */
import type { Route } from '../../core/route.ts';
import { any, type Identity } from './identity.ts';
import { deviceOf, isToDevice } from './to-device.ts';
import { matches } from './topic-filter.ts';

/** A device publishes to few topics. At the bound the verdicts are found anew. */
const maxVerdicts = 256;

export class Access {
  readonly identity: Identity;
  readonly #clientId: string;
  readonly #mayPublishAll: boolean;
  /** Of rules of its own, by topic: what follows from site and device costs no more than to look it up. */
  readonly #verdicts = new Map<string, boolean>();

  constructor(identity: Identity, clientId: string) {
    this.identity = identity;
    this.#clientId = clientId;
    this.#mayPublishAll = identity.publish?.includes('#') ?? false;
  }

  /** `route`: of the topic, `null` when it has none; then its messages bear the client id. */
  mayPublish(topic: string, route: Route | null): boolean {
    if (this.#mayPublishAll) return true;
    const { user, publish } = this.identity;
    if (publish !== null) return this.#verdict(publish, topic);
    if (isToDevice(topic)) return false;
    return route === null ? this.#clientId === user : this.#isOwn(route.site, route.device);
  }

  /** Only what is said to a device can be heard at all. */
  maySubscribe(topic: string): boolean {
    const to = deviceOf(topic);
    if (to === null) return false;
    const { subscribe } = this.identity;
    return subscribe === null ? this.#isOwn(to.site, to.device) : this.#matchesOne(subscribe, topic);
  }

  #isOwn(site: string, device: string): boolean {
    const { identity } = this;
    return (identity.site === any || identity.site === site) && (identity.device === any || identity.device === device);
  }

  #verdict(filters: readonly string[], topic: string): boolean {
    const known = this.#verdicts.get(topic);
    if (known !== undefined) return known;
    const verdict = this.#matchesOne(filters, topic);
    if (this.#verdicts.size >= maxVerdicts) this.#verdicts.clear();
    this.#verdicts.set(topic, verdict);
    return verdict;
  }

  #matchesOne(filters: readonly string[], topic: string): boolean {
    const names = { user: this.identity.user, clientId: this.#clientId };
    return filters.some((filter) => matches(filter, topic, names));
  }
}
