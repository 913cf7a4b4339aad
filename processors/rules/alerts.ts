/** What an alert says, made of event-time facts alone: a replay gives the same alert with the same id. */
import { createHash } from 'node:crypto';
import type { Alert } from '../../core/alert.ts';
import { rfc3339 } from '../rfc3339.ts';
import type { Rule } from './file.ts';
import type { Episode, Step } from './threshold.ts';

/** The alert of a transition; `previous` is the one before it in the same episode. */
export function alertOf(
  rule: Rule,
  { site, device }: { readonly site: string; readonly device: string },
  episode: Episode,
  step: Step,
  previous: Alert | null,
  value: number,
): Alert {
  const timeUs = episode.lastUs;
  const fingerprint = hashOf(rule.name, site, device);
  const startsAt = rfc3339(episode.startsAtUs);
  const over = step === 'cleared' || step === 'not_sustained';
  return withId(
    {
      id: '',
      fingerprint,
      episodeId: hashOf(fingerprint, startsAt),
      seq: (previous?.seq ?? 0) + 1,
      rule: rule.name,
      ruleVersion: rule.version,
      severity: rule.severity,
      status: over ? 'resolved' : step,
      site,
      device,
      value,
      threshold: rule.threshold,
      startsAt,
      firedAt: episode.firedAtUs === null ? null : rfc3339(episode.firedAtUs),
      endsAt: over ? rfc3339(timeUs) : null,
      windowStart: null,
      windowEnd: null,
      reason: over ? step : 'threshold',
      labels: rule.labels,
      summary: summaryOf(rule, site, device, value),
    },
    timeUs,
  );
}

/** The end of an episode that no reading ends. */
export function endedAlert(open: Alert, reason: 'rule_removed' | 'device_forgotten', timeUs: number): Alert {
  return withId({ ...open, seq: open.seq + 1, status: 'resolved', endsAt: rfc3339(timeUs), reason }, timeUs);
}

function withId(alert: Alert, timeUs: number): Alert {
  return { ...alert, id: hashOf(alert.fingerprint, alert.startsAt, String(alert.seq), alert.status, rfc3339(timeUs)) };
}

/** 128 bits of SHA-256 over the parts, whose borders count. */
function hashOf(...parts: string[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 32);
}

function summaryOf(rule: Rule, site: string, device: string, value: number): string {
  const values = { site, device, field: rule.field, value, threshold: rule.threshold };
  return rule.summary.replaceAll(/\{(\w+)\}/g, (text, name: string) =>
    Object.hasOwn(values, name) ? String(values[name as keyof typeof values]) : text,
  );
}
