/** The rules that concern one device, with its open episodes. */
import type { Fields } from '../../core/reading.ts';
import type { Rule } from './file.ts';
import { type EmitAlert, type Episode, end, evaluate, type Subject } from './threshold.ts';

export class DeviceRules {
  readonly #subject: Subject;
  readonly #rules: readonly Rule[];
  readonly #episodes = new Map<string, Episode>();
  /** Only a restart can bring other rules. */
  #mayHaveOrphans = false;
  /** Event time of the newest reading that drove the rules: an older one tells nothing of now. */
  #evaluatedUs = Number.NEGATIVE_INFINITY;

  constructor(subject: Subject, rules: readonly Rule[]) {
    this.#subject = subject;
    this.#rules = rules.filter((rule) => rule.matches(subject.site, subject.device));
  }

  evaluate(timeUs: number, fields: Fields, emit: EmitAlert): void {
    if (this.#rules.length === 0 || timeUs < this.#evaluatedUs) return;
    this.#evaluatedUs = timeUs;
    for (const rule of this.#rules) {
      const value = fields[rule.field];
      if (typeof value !== 'number') continue;
      const open = this.#episodes.get(rule.name) ?? null;
      const after = evaluate(rule, this.#subject, open, value, timeUs, emit);
      if (after === null) this.#episodes.delete(rule.name);
      else if (open === null) this.#episodes.set(rule.name, after);
    }
  }

  /** Ends the episodes whose rule is gone from the rules file. */
  endOrphans(timeUs: number, emit: EmitAlert): void {
    if (!this.#mayHaveOrphans) return;
    this.#mayHaveOrphans = false;
    for (const [name, episode] of this.#episodes) {
      if (this.#rules.some((rule) => rule.name === name)) continue;
      this.#episodes.delete(name);
      end(episode, this.#subject, timeUs, 'rule_removed', emit);
    }
  }

  /** Ends every episode: the device is forgotten. */
  endAll(timeUs: number, emit: EmitAlert): void {
    for (const episode of this.#episodes.values()) end(episode, this.#subject, timeUs, 'device_forgotten', emit);
    this.#episodes.clear();
  }

  state(): { evaluatedUs: number; episodes: Episode[] } {
    return { evaluatedUs: this.#evaluatedUs, episodes: [...this.#episodes.values()] };
  }

  restore(state: { evaluatedUs: number; episodes: readonly Episode[] }): void {
    this.#evaluatedUs = state.evaluatedUs;
    this.#mayHaveOrphans = state.episodes.length > 0;
    for (const episode of state.episodes) this.#episodes.set(episode.rule, { ...episode });
  }
}
