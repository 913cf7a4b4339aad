/** The rules that are for one device, each with the state of its episode. */
import type { Alert } from '../../core/alert.ts';
import type { Reading } from '../../core/reading.ts';
import type { StateReader, StateWriter } from '../codec.ts';
import { alertOf } from './alerts.ts';
import type { Rule } from './file.ts';
import { type Episode, inactive, type Phase, step } from './threshold.ts';

interface Instance {
  readonly rule: Rule;
  readonly episode: Episode;
  /** The last alert of the episode, while there is one. */
  open: Alert | null;
}

/** Where a rule stands for one device. */
export interface RuleState {
  readonly rule: string;
  readonly field: string;
  readonly phase: Phase;
  /** Event time of the last reading that it saw. */
  readonly lastUs: number;
  /** The last alert of the episode, while there is one. */
  readonly alert: Alert | null;
}

export type Raise = (alert: Alert, timeUs: number) => void;

export class DeviceRules {
  readonly #site: string;
  readonly #device: string;
  readonly #raise: Raise;
  readonly #instances: readonly Instance[];

  constructor(site: string, device: string, rules: readonly Rule[], raise: Raise) {
    this.#site = site;
    this.#device = device;
    this.#raise = raise;
    this.#instances = rules
      .filter((rule) => rule.matches(site, device))
      .map((rule) => ({ rule, episode: inactive(), open: null }));
  }

  /** Takes a reading that is not late. */
  evaluate({ fields, timeUs }: Reading): void {
    for (const instance of this.#instances) {
      const value = fields[instance.rule.field];
      if (typeof value === 'number') this.#step(instance, value, timeUs);
    }
  }

  /** Alerts of episodes that are not over. */
  open(): Alert[] {
    return this.#instances.flatMap(({ open }) => (open === null ? [] : [open]));
  }

  /** Of the rules that have seen a reading. */
  states(): RuleState[] {
    return this.#instances
      .filter(({ episode }) => episode.lastUs > Number.NEGATIVE_INFINITY)
      .map(({ rule, episode: { phase, lastUs }, open: alert }) => ({
        rule: rule.name,
        field: rule.field,
        phase,
        lastUs,
        alert,
      }));
  }

  #step(instance: Instance, value: number, timeUs: number): void {
    const { rule, episode } = instance;
    const taken = step(rule, episode, value, timeUs);
    if (taken === null) return;
    const sender = { site: this.#site, device: this.#device };
    const alert = alertOf(rule, sender, episode, taken, instance.open, value);
    instance.open = alert.status === 'resolved' ? null : alert;
    this.#raise(alert, timeUs);
  }

  save(to: StateWriter): void {
    const evaluated = this.#instances.filter(({ episode }) => episode.lastUs > Number.NEGATIVE_INFINITY);
    to.uint(evaluated.length);
    for (const { rule, episode, open } of evaluated) to.json([rule.name, rule.field, episode, open]);
  }

  /** Returns the open alerts whose rule is not there any more, or is about another field now. */
  load(from: StateReader): Alert[] {
    const orphans: Alert[] = [];
    for (let left = from.uint(); left > 0; left--) {
      const [name, field, episode, open] = from.json<[string, string, Episode & { phase: Phase }, Alert | null]>();
      const instance = this.#instances.find(({ rule }) => rule.name === name && rule.field === field);
      if (instance === undefined) {
        if (open !== null) orphans.push(open);
        continue;
      }
      Object.assign(instance.episode, episode);
      instance.open = open;
    }
    return orphans;
  }
}
