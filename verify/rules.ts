/**
 * The alerts that rules must raise over one device's samples: a second reading of docs/processing.md, without the state
 * machine of the processor. The file's parser is shared; what a rule means is not.
 */
import { createHash } from 'node:crypto';
import type { Rule } from '../processors/rules/file.ts';
import type { Sample } from './reference.ts';

export interface Transition {
  readonly rule: string;
  readonly status: 'pending' | 'firing' | 'resolved';
  readonly startsAtUs: number;
  /** Counts within the episode, from 1. */
  readonly seq: number;
  /** Event time of the sample that caused it. */
  readonly timeUs: number;
  readonly value: number;
  /** Labels of the message that caused it. */
  readonly faults: readonly string[];
}

/** `samples` of the rule's field, in the order in which they came. */
export function transitionsOf(rule: Rule, samples: readonly Sample[]): Transition[] {
  const transitions: Transition[] = [];
  const ordered = newestOnly(samples);
  let i = 0;
  while (i < ordered.length) {
    if (!isBeyond(rule, ordered[i]!.value)) {
      i++;
      continue;
    }
    const episode = episodeFrom(rule, ordered, i);
    transitions.push(...episode.transitions);
    i = episode.next;
  }
  return transitions;
}

/** A reading older than the newest one evaluated drives no rule; of several at one time the first to come does. */
function newestOnly(samples: readonly Sample[]): Sample[] {
  let newestUs = Number.NEGATIVE_INFINITY;
  return samples.filter(({ timeUs }) => {
    if (timeUs <= newestUs) return false;
    newestUs = timeUs;
    return true;
  });
}

/** The episode that begins with a sample: it fires when all within `for` are beyond the threshold, and ends at the clear level. */
function episodeFrom(rule: Rule, samples: readonly Sample[], begin: number) {
  const startsAtUs = samples[begin]!.timeUs;
  const transitions: Transition[] = [];
  const add = (status: Transition['status'], { timeUs, value, faults }: Sample) =>
    transitions.push({ rule: rule.name, status, startsAtUs, seq: transitions.length + 1, timeUs, value, faults });
  if (rule.forUs > 0) add('pending', samples[begin]!);
  let fires = begin;
  while (fires < samples.length && !decides(rule, samples[fires]!, startsAtUs)) fires++;
  if (fires === samples.length) return { transitions, next: fires };
  if (!isBeyond(rule, samples[fires]!.value)) {
    add('resolved', samples[fires]!);
    return { transitions, next: fires + 1 };
  }
  add('firing', samples[fires]!);
  let ends = fires + 1;
  while (ends < samples.length && !isClear(rule, samples[ends]!.value)) ends++;
  if (ends === samples.length) return { transitions, next: ends };
  add('resolved', samples[ends]!);
  return { transitions, next: ends + 1 };
}

/** Whether a sample of a pending episode lets it fire or ends it. */
function decides(rule: Rule, { timeUs, value }: Sample, startsAtUs: number): boolean {
  return timeUs - startsAtUs >= rule.forUs || !isBeyond(rule, value);
}

function isBeyond({ direction, threshold }: Rule, value: number): boolean {
  return direction === 'above' ? value > threshold : value < threshold;
}

function isClear({ direction, clear }: Rule, value: number): boolean {
  return direction === 'above' ? value <= clear : value >= clear;
}

/** The id that the facts of a transition give (docs/verify.md): the same however often the log is replayed. */
export function alertIdOf({ rule, startsAtUs, seq, status, timeUs }: Transition, site: string, device: string): string {
  const fingerprint = hashOf(rule, site, device);
  return hashOf(fingerprint, timeText(startsAtUs), String(seq), status, timeText(timeUs));
}

function hashOf(...parts: readonly string[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 32);
}

/** RFC 3339 in UTC, with microseconds only where there are any. */
export function timeText(timeUs: number): string {
  const text = new Date(Math.floor(timeUs / 1000)).toISOString();
  const us = timeUs % 1000;
  return us === 0 ? text : text.replace('Z', `${String(us).padStart(3, '0')}Z`);
}
