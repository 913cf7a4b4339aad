/** What happens to a field for a while, once or again and again: it is set, something is added, or it is scaled. */
import type { FieldValue } from '../../core/reading.ts';
import type { Random } from '../random.ts';
import type { Moment, Samples, Signal } from '../signals.ts';

export interface FieldEvent {
  /** Since the start of the run. */
  readonly atMs: number;
  /** `Infinity`: to the end of the run. */
  readonly forMs: number;
  /** `Infinity`: happens once. */
  readonly everyMs: number;
  readonly set: Signal | null;
  /** Its time counts from the beginning of the event, and it starts anew each time. */
  readonly add: Signal | null;
  readonly scale: number;
}

/** The signal with its events, in the order given. What is no number takes no part in adding and scaling. */
export function changed(signal: Signal, events: readonly FieldEvent[]): Signal {
  if (events.length === 0) return signal;
  return (random) => {
    const changes = events.map((event) => changeOf(event, random));
    return changedOf(signal(random), changes);
  };
}

type Change = (value: FieldValue, at: Moment) => FieldValue;

function changedOf(sample: Samples, changes: readonly Change[]): Samples {
  return (at) => changes.reduce((value, change) => change(value, at), sample(at));
}

function changeOf(event: FieldEvent, random: Random): Change {
  let occurrence = -1;
  let samples: Samples | null = null;
  return (value, at) => {
    const sinceMs = at.elapsedMs - event.atMs;
    if (sinceMs < 0) return value;
    const current = event.everyMs === Number.POSITIVE_INFINITY ? 0 : Math.floor(sinceMs / event.everyMs);
    const elapsedMs = current === 0 ? sinceMs : sinceMs - current * event.everyMs;
    if (elapsedMs >= event.forMs) return value;
    if (current !== occurrence) {
      occurrence = current;
      samples = (event.set ?? event.add)?.(random) ?? null;
    }
    const other = samples?.({ ...at, elapsedMs }) ?? 0;
    if (event.set !== null) return other;
    return typeof value === 'number' && typeof other === 'number' ? value * event.scale + other : value;
  };
}
