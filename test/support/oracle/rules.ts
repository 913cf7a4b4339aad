/** What the threshold rules must raise for one device. */
import type { Alert } from '../../../core/alert.ts';
import { matches, type ThresholdRule } from './config.ts';
import { isoOfUs } from './events.ts';
import type { CountedReading } from './windower.ts';

/** An alert without what is hashed or written by people. */
export type AlertFacts = Pick<
  Alert,
  'rule' | 'device' | 'status' | 'reason' | 'seq' | 'value' | 'startsAt' | 'firedAt' | 'endsAt'
>;

/** In one order of its keys. */
export function factsOf({
  rule,
  device,
  status,
  reason,
  seq,
  value,
  startsAt,
  firedAt,
  endsAt,
}: AlertFacts): AlertFacts {
  return { rule, device, status, reason, seq, value, startsAt, firedAt, endsAt };
}

export class DeviceRules {
  readonly #rules: readonly { readonly rule: ThresholdRule; newestUs: number; open: AlertFacts | null }[];
  readonly #device: string;
  readonly #raise: (alert: AlertFacts) => void;

  constructor(rules: readonly ThresholdRule[], device: string, raise: (alert: AlertFacts) => void) {
    this.#rules = rules
      .filter((rule) => matches(rule.device, device))
      .map((rule) => ({ rule, newestUs: Number.NEGATIVE_INFINITY, open: null }));
    this.#device = device;
    this.#raise = raise;
  }

  /** Only a reading with the field that is newer than the last one of it counts. */
  onReading({ timeUs, fields }: CountedReading): void {
    for (const state of this.#rules) {
      const { rule, open } = state;
      const value = fields[rule.field];
      if (typeof value !== 'number' || timeUs <= state.newestUs) continue;
      state.newestUs = timeUs;
      const isBeyond = rule.direction === 'above' ? value > rule.threshold : value < rule.threshold;
      const isClear = rule.direction === 'above' ? value <= rule.clear : value >= rule.clear;
      const now = isoOfUs(timeUs);
      const next = { rule: rule.name, device: this.#device, seq: (open?.seq ?? 0) + 1, value, endsAt: null };
      if (open === null) {
        if (!isBeyond) continue;
        const isFiring = rule.forMs === 0;
        const firedAt = isFiring ? now : null;
        state.open = { ...next, status: isFiring ? 'firing' : 'pending', reason: 'threshold', startsAt: now, firedAt };
        this.#raise(state.open);
      } else if (open.status === 'pending' && isBeyond) {
        if (timeUs - Date.parse(open.startsAt) * 1000 < rule.forMs * 1000) continue;
        state.open = { ...open, ...next, status: 'firing', firedAt: now };
        this.#raise(state.open);
      } else if (open.status === 'pending' || isClear) {
        const reason = open.status === 'pending' ? 'not_sustained' : 'cleared';
        this.#raise({ ...open, ...next, status: 'resolved', reason, endsAt: now });
        state.open = null;
      }
    }
  }

  onForgotten(clockMs: number): void {
    for (const { open } of this.#rules) {
      if (open === null) continue;
      const endsAt = isoOfUs(clockMs * 1000);
      this.#raise({ ...open, seq: open.seq + 1, status: 'resolved', reason: 'device_forgotten', endsAt });
    }
  }
}
