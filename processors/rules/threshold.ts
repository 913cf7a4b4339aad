/**
 * A threshold rule for one device: inactive → pending → firing → resolved, driven by readings in event-time order.
 * Every time it tells is computed from readings, never read from a clock, so that a replay tells the same.
 */
import { createHash } from 'node:crypto';
import type { Alert, AlertStatus } from '../../core/alert.ts';
import type { Rule } from './file.ts';

/** An episode that has not ended. All of it is in the snapshot. */
export interface Episode {
  readonly rule: string;
  readonly ruleVersion: string;
  readonly severity: Alert['severity'];
  readonly threshold: number;
  readonly labels: Readonly<Record<string, string>>;
  status: 'pending' | 'firing';
  startsAtUs: number;
  firedAtUs: number | null;
  seq: number;
  /** Of the newest reading. */
  value: number;
  summary: string;
}

export type EmitAlert = (alert: Alert, timeUs: number) => void;

export interface Subject {
  readonly site: string;
  readonly device: string;
}

/** One reading's value against a rule. Returns the open episode after it, or `null`. */
export function evaluate(
  rule: Rule,
  subject: Subject,
  open: Episode | null,
  value: number,
  timeUs: number,
  emit: EmitAlert,
): Episode | null {
  if (open === null) {
    if (!isBeyond(rule, value, rule.threshold)) return null;
    return begin(rule, subject, value, timeUs, emit);
  }
  open.value = value;
  open.summary = summaryOf(rule, subject, value);
  if (!isBeyond(rule, value, rule.clear) && !isBeyond(rule, value, rule.threshold)) {
    end(open, subject, timeUs, open.status === 'firing' ? 'cleared' : 'not_sustained', emit);
    return null;
  }
  if (open.status === 'pending') {
    // Between threshold and clear level an episode that has not fired yet is not sustained.
    if (!isBeyond(rule, value, rule.threshold)) {
      end(open, subject, timeUs, 'not_sustained', emit);
      return null;
    }
    if (timeUs - open.startsAtUs >= rule.forUs) fire(open, subject, timeUs, emit);
  }
  return open;
}

/** Ends an episode whose rule is no longer there, or whose device is forgotten. */
export function end(
  episode: Episode,
  subject: Subject,
  timeUs: number,
  reason: Alert['reason'],
  emit: EmitAlert,
): void {
  episode.seq++;
  emit(alertOf(episode, subject, 'resolved', timeUs, reason), timeUs);
}

function begin(rule: Rule, subject: Subject, value: number, timeUs: number, emit: EmitAlert): Episode {
  const episode: Episode = {
    rule: rule.name,
    ruleVersion: rule.version,
    severity: rule.severity,
    threshold: rule.threshold,
    labels: rule.labels,
    status: 'pending',
    startsAtUs: timeUs,
    firedAtUs: null,
    seq: 0,
    value,
    summary: summaryOf(rule, subject, value),
  };
  if (rule.forUs === 0) {
    fire(episode, subject, timeUs, emit);
  } else {
    episode.seq++;
    emit(alertOf(episode, subject, 'pending', null, 'threshold'), timeUs);
  }
  return episode;
}

function fire(episode: Episode, subject: Subject, timeUs: number, emit: EmitAlert): void {
  episode.status = 'firing';
  episode.firedAtUs = timeUs;
  episode.seq++;
  emit(alertOf(episode, subject, 'firing', null, 'threshold'), timeUs);
}

function alertOf(
  episode: Episode,
  { site, device }: Subject,
  status: AlertStatus,
  endsAtUs: number | null,
  reason: Alert['reason'],
): Alert {
  const fingerprint = hash('fingerprint', episode.rule, site, device);
  const startsAt = timeText(episode.startsAtUs);
  const episodeId = hash('episode', fingerprint, startsAt);
  return {
    id: hash('alert', episodeId, String(episode.seq), status),
    fingerprint,
    episodeId,
    seq: episode.seq,
    rule: episode.rule,
    ruleVersion: episode.ruleVersion,
    severity: episode.severity,
    status,
    site,
    device,
    value: episode.value,
    threshold: episode.threshold,
    startsAt,
    firedAt: episode.firedAtUs === null ? null : timeText(episode.firedAtUs),
    endsAt: endsAtUs === null ? null : timeText(endsAtUs),
    windowStart: null,
    windowEnd: null,
    reason,
    labels: episode.labels,
    summary: episode.summary,
  };
}

function isBeyond(rule: Rule, value: number, level: number): boolean {
  return rule.direction === 'above' ? value > level : value < level;
}

function summaryOf(rule: Rule, { site, device }: Subject, value: number): string {
  const values: Record<string, string> = {
    site,
    device,
    field: rule.field,
    value: String(value),
    threshold: String(rule.threshold),
  };
  return rule.summary.replace(/\{(\w+)\}/g, (text, name: string) => values[name] ?? text);
}

/** RFC 3339 with microseconds where there are any. */
function timeText(timeUs: number): string {
  const ms = Math.floor(timeUs / 1000);
  const restUs = timeUs - ms * 1000;
  const text = new Date(ms).toISOString();
  return restUs === 0 ? text : text.replace('Z', `${String(restUs).padStart(3, '0')}Z`);
}

function hash(...parts: readonly string[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 32);
}
