/**
 * Device clocks that are wrong. What is ahead of its receipt or before the year 2000 is rejected, what is behind may be
 * late: `verify` computes both from the times, so a clock that is a little off is expected to be stored.
 */
import type { Draft, Effect } from './draft.ts';
import type { Fault, FaultName } from './spec.ts';

export type ClockFault = Fault<Extract<FaultName, `clock.${string}`>>;

const hourMs = 3_600_000;
/** Default of `processing.maxFutureMs`: further ahead a reading is rejected. */
const maxFutureMs = 60_000;

export function clockEffect(spec: ClockFault): Effect {
  switch (spec.fault) {
    case 'clock.skew':
      return (draft, sinceMs) => off(draft, (spec.perHour * (draft.measured.elapsedMs - sinceMs)) / hourMs);
    case 'clock.jump':
      return (draft) => off(draft, spec.by);
    case 'clock.epoch':
      // A clock that was never set counts from its start.
      return (draft) => unset(draft, Math.max(0, draft.measured.elapsedMs));
    case 'clock.seconds':
      return (draft) => unset(draft, Math.floor(draft.measured.timeMs / 1000));
    case 'clock.missing':
      return (draft) => {
        draft.ts = null;
        return true;
      };
  }
}

function off(draft: Draft, byMs: number): boolean {
  const ts = Math.max(0, Math.round(draft.measured.timeMs + byMs));
  if (ts === draft.ts) return false;
  draft.ts = ts;
  if (byMs > maxFutureMs) draft.expect = { as: 'dead_letter', reason: 'future' };
  return true;
}

function unset(draft: Draft, ts: number): boolean {
  draft.ts = ts;
  draft.expect = { as: 'dead_letter', reason: 'too_old' };
  return true;
}
