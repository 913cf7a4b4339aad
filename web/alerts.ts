/**
 * The current alerts. Open ones come from the state topic, where a tombstone follows the end of an episode; ended ones
 * from the alerts topic, and the newest of them stay for a while. Of one alert the highest (`startsAt`, `seq`) counts.
 */
import type { Alert } from '../core/alert.ts';

/** Open alerts at most; above it, the oldest are left out. */
const maxOpen = 5000;
export const maxResolved = 100;

export class AlertStates {
  readonly #open = new Map<string, Alert>();
  /** By fingerprint, in the order in which they ended. */
  readonly #resolved = new Map<string, Alert>();

  /** A record of the state topic. Returns whether it is news. */
  state(fingerprint: string, alert: Alert | null): boolean {
    if (alert === null) {
      this.#open.delete(fingerprint);
      return false;
    }
    if (alert.status === 'resolved') return this.published(alert);
    if (!this.#isNews(alert)) return false;
    this.#open.delete(fingerprint);
    this.#open.set(fingerprint, alert);
    if (this.#open.size > maxOpen) this.#open.delete(this.#open.keys().next().value!);
    return true;
  }

  /** An alert of the alerts topic, of which the ends count here. Returns whether it is news. */
  published(alert: Alert): boolean {
    if (alert.status !== 'resolved' || !this.#isNews(alert)) return false;
    this.#open.delete(alert.fingerprint);
    this.#resolved.delete(alert.fingerprint);
    this.#resolved.set(alert.fingerprint, alert);
    if (this.#resolved.size > maxResolved) this.#resolved.delete(this.#resolved.keys().next().value!);
    return true;
  }

  /** Newest `startsAt` first. Of a device that is in alert again, the new episode alone. */
  current(): Alert[] {
    const resolved = [...this.#resolved.values()].filter(({ fingerprint }) => !this.#open.has(fingerprint));
    return [...this.#open.values(), ...resolved].sort((a, b) => compare(b, a));
  }

  #isNews(alert: Alert): boolean {
    const { fingerprint } = alert;
    return [this.#open.get(fingerprint), this.#resolved.get(fingerprint)].every(
      (known) => known === undefined || compare(alert, known) > 0,
    );
  }
}

function compare(a: Alert, b: Alert): number {
  return Date.parse(a.startsAt) - Date.parse(b.startsAt) || a.seq - b.seq;
}
