/** An alert as any consumer sees it: a CloudEvent on the alerts topic, and the current state per fingerprint. */
export type AlertStatus = 'pending' | 'firing' | 'resolved';
export type Severity = 'info' | 'warning' | 'critical';

export interface Alert {
  /** Hash of event-time facts: the same transition has the same id however often the log is replayed. */
  readonly id: string;
  /** Identifies rule + device: the key on the bus. */
  readonly fingerprint: string;
  /** Hash of fingerprint and `startsAt`. */
  readonly episodeId: string;
  /** Counts within an episode from 1: a consumer drops repeats by comparing (`startsAt`, `seq`). */
  readonly seq: number;
  readonly rule: string;
  readonly ruleVersion: string;
  readonly severity: Severity;
  readonly status: AlertStatus;
  readonly site: string;
  readonly device: string;
  /** The value that caused the transition. */
  readonly value: number;
  readonly threshold: number;
  /** Times are RFC 3339 in event time. When the condition became true. */
  readonly startsAt: string;
  readonly firedAt: string | null;
  readonly endsAt: string | null;
  /** The window of a rule over rollups, else `null`. */
  readonly windowStart: string | null;
  readonly windowEnd: string | null;
  /** Why this transition happened. */
  readonly reason: 'threshold' | 'cleared' | 'not_sustained' | 'rule_removed' | 'device_forgotten';
  readonly labels: Readonly<Record<string, string>>;
  readonly summary: string;
}

/** CloudEvents 1.0, Kafka binding, binary mode: attributes as `ce_` headers, the alert as the JSON body. */
export function cloudEventHeaders(alert: Alert, timeMs: number): Record<string, string> {
  return {
    ce_specversion: '1.0',
    ce_id: alert.id,
    ce_source: `/sluice/rules/${encodeURIComponent(alert.rule)}`,
    ce_type: `io.sluice.alert.${alert.status}.v1`,
    ce_subject: `${alert.site}/${alert.device}`,
    ce_time: new Date(timeMs).toISOString(),
    'content-type': 'application/json',
  };
}
