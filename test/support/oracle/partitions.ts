/** A stream over the partitions of a real topic: what goes where, and what must be stored of all of them together. */
import type { NewRecord } from '../../../bus/port.ts';
import { partitionOf } from '../../../core/partition.ts';
import type { CaseConfig } from './config.ts';
import { type Emission, placeOf } from './emissions.ts';
import { recordOf, type StreamEvent, site } from './events.ts';
import { outcomesOf } from './oracle.ts';
import type { AlertFacts } from './rules.ts';

/** The same stream at another time: its last event is at `endMs`. Buses and stores keep nothing that is too old. */
export function endingAt(events: readonly StreamEvent[], endMs: number): StreamEvent[] {
  const byMs = endMs - newestMs(events);
  return events.map((event) => {
    const atMs = event.atMs + byMs;
    if (event.kind !== 'sent' || event.timeUs === null) return { ...event, atMs };
    // A clock that was never set stays what it is.
    return { ...event, atMs, timeUs: event.timeUs < 1e15 ? event.timeUs : event.timeUs + byMs * 1000 };
  });
}

export function newestMs(events: readonly StreamEvent[]): number {
  return events.reduce((newest, { atMs }) => Math.max(newest, atMs), 0);
}

/** Gateways tick in every partition. */
export function newRecordsOf(event: StreamEvent, partitions: number): NewRecord[] {
  const { offset: _, ...record } = recordOf(event, 0);
  if (event.kind !== 'tick') return [{ ...record, partition: partitionOfDevice(event.device, partitions) }];
  return Array.from({ length: partitions }, (_, partition) => ({ ...record, partition }));
}

export interface Expected {
  /** Points of windows in their last revision, by place. */
  readonly points: ReadonlyMap<string, Emission>;
  /** In order for each device, each once. */
  readonly alerts: readonly AlertFacts[];
  /** Those that are open in the end. */
  readonly openAlerts: readonly AlertFacts[];
}

export function expectedOf(events: readonly StreamEvent[], config: CaseConfig, partitions: number): Expected {
  const points = new Map<string, Emission>();
  const alerts = new Map<string, AlertFacts>();
  const open = new Map<string, AlertFacts>();
  for (let partition = 0; partition < partitions; partition++) {
    const here = events.filter(
      (event) => event.kind === 'tick' || partitionOfDevice(event.device, partitions) === partition,
    );
    for (const outcome of outcomesOf(here, config, false)) {
      for (const emission of outcome.emissions) points.set(placeOf(emission), emission);
      for (const alert of outcome.alerts) {
        // A device that was forgotten and sends a reading again raises what has been raised.
        const { rule, device, startsAt, seq, status, firedAt, endsAt } = alert;
        const identity = JSON.stringify([rule, device, startsAt, seq, status, endsAt ?? firedAt]);
        if (!alerts.has(identity)) alerts.set(identity, alert);
        if (status === 'resolved') open.delete(`${rule} ${device}`);
        else open.set(`${rule} ${device}`, alert);
      }
    }
  }
  return { points, alerts: [...alerts.values()], openAlerts: [...open.values()] };
}

function partitionOfDevice(device: string, partitions: number): number {
  return partitionOf(`${site}/${device}`, partitions);
}
