/** A message in the making: faults change it one after the other, and note what they did and what it should end as. */
import type { FieldValue } from '../../core/reading.ts';
import type { Expectation } from '../../core/truth.ts';
import type { Measurement } from '../device.ts';
import type { FaultName, FaultSpec } from './spec.ts';

export class Draft {
  readonly measured: Measurement;
  /** What the payload will say. */
  readonly fields: Record<string, FieldValue | null>;
  /** `null`: it has no time. */
  ts: number | null;
  readonly faults: FaultName[] = [];
  expect: Expectation = { as: 'stored' };
  /** Whether a decoder can make a reading of it. */
  isReadable = true;
  /** How often it is sent. */
  copies = 1;
  delayMs = 0;
  /** It is sent after the next one. */
  isHeldBack = false;
  /** Another topic than the device's own. */
  topic: string | null = null;
  /** It is sent on another connection, with a wrong password. */
  isByIntruder = false;

  constructor(measured: Measurement) {
    this.measured = measured;
    this.fields = { ...measured.fields };
    this.ts = measured.timeMs;
  }
}

/**
 * What a fault does to a message. `sinceMs`: when it began, in the time of `elapsedMs`. `false`: it changes nothing, as
 * when the device has no such field.
 */
export type Effect = (draft: Draft, sinceMs: number) => boolean;

/** When the fault that is on at a time began; `null`: it is off. Both count from the start of the run. */
export function onSince(spec: FaultSpec, elapsedMs: number): number | null {
  if (spec.fault === 'network.reconnect_storm' || elapsedMs < spec.at) return null;
  const { at, for: lastsMs = Number.POSITIVE_INFINITY, every } = spec;
  const intoMs = every === undefined ? elapsedMs - at : (elapsedMs - at) % every;
  return intoMs < lastsMs ? elapsedMs - intoMs : null;
}
