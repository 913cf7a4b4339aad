/**
 * The state machine of one rule for one device: inactive → pending → firing → inactive. It sees readings in event-time
 * order and nothing else, so that the same readings always give the same transitions at the same times.
 */
import type { Rule } from './file.ts';

export type Phase = 'inactive' | 'pending' | 'firing';

/** What a step leads to: `not_sustained` and `cleared` end the episode. */
export type Step = 'pending' | 'firing' | 'not_sustained' | 'cleared';

export interface Episode {
  phase: Phase;
  /** When the condition became true. Times are integer microseconds. */
  startsAtUs: number;
  firedAtUs: number | null;
  /** Of the last reading that was evaluated. */
  lastUs: number;
}

export function inactive(): Episode {
  return { phase: 'inactive', startsAtUs: 0, firedAtUs: null, lastUs: Number.NEGATIVE_INFINITY };
}

/**
 * One reading. Only a newer one than the last drives the machine; of several at one time the first counts. While pending
 * the condition itself must stay true; once firing it takes the clear level to end.
 */
export function step(rule: Rule, episode: Episode, value: number, timeUs: number): Step | null {
  if (timeUs <= episode.lastUs) return null;
  episode.lastUs = timeUs;
  switch (episode.phase) {
    case 'inactive':
      if (!isBeyond(rule, value)) return null;
      episode.startsAtUs = timeUs;
      episode.firedAtUs = null;
      return rule.forUs === 0 ? fire(episode, timeUs) : enter(episode, 'pending', 'pending');
    case 'pending':
      if (!isBeyond(rule, value)) return enter(episode, 'inactive', 'not_sustained');
      return timeUs - episode.startsAtUs >= rule.forUs ? fire(episode, timeUs) : null;
    case 'firing':
      return isClear(rule, value) ? enter(episode, 'inactive', 'cleared') : null;
  }
}

function fire(episode: Episode, timeUs: number): Step {
  episode.firedAtUs = timeUs;
  return enter(episode, 'firing', 'firing');
}

function enter(episode: Episode, phase: Phase, result: Step): Step {
  episode.phase = phase;
  return result;
}

function isBeyond(rule: Rule, value: number): boolean {
  return rule.direction === 'above' ? value > rule.threshold : value < rule.threshold;
}

function isClear(rule: Rule, value: number): boolean {
  return rule.direction === 'above' ? value <= rule.clear : value >= rule.clear;
}
