/** The readings of one device: those that must be stored against those that are. */
import type { StoredReading } from '../store/port.ts';
import type { Arrivals } from './arrivals.ts';
import type { Findings } from './findings.ts';
import { fieldsText } from './identity.ts';
import { type ExpectedPoint, type Reference, whereSeen } from './reference.ts';

interface StoredPoint {
  readonly text: string;
  readonly k: number;
}

export function byTime(readings: readonly StoredReading[]): Map<number, StoredReading[]> {
  return Map.groupBy(readings, ({ timeUs }) => timeUs);
}

export function compareReadings(
  device: string,
  { points, undead }: Reference,
  stored: ReadonlyMap<number, readonly StoredReading[]>,
  findings: Findings,
): void {
  const undeadAt = Map.groupBy(undead, ({ timeUs }) => timeUs);
  const range = rangeOf(points);
  const expectedAt = Map.groupBy(points, ({ timeUs }) => timeUs);
  for (const [timeUs, readings] of stored) {
    const there = readings.map(({ fields, k }) => ({ text: fieldsText(fields), k }));
    const expected = expectedAt.get(timeUs) ?? [];
    expectedAt.delete(timeUs);
    const rest = compareMoment(device, expected, there, findings);
    const unknown = takeUndead(device, undeadAt.get(timeUs) ?? [], rest, findings);
    undeadAt.delete(timeUs);
    if (timeUs < range.fromUs || timeUs > range.toUs) continue;
    for (const { text, k } of unknown) {
      const at = `${new Date(timeUs / 1000).toISOString()} (${timeUs} µs, k ${k})`;
      findings.add({ kind: 'invented', device, text: `the store holds {${text}} at ${at}, which nobody sent` });
    }
  }
  for (const missing of expectedAt.values()) for (const point of missing) tellOfMissing(device, point, findings);
  for (const missing of undeadAt.values()) {
    for (const { reason, arrival } of missing) {
      findings.fates.lost++;
      const text = `no dead letter, expected one with the reason ${reason}`;
      findings.addMessage('deadLetter', device, arrival.message, whereSeen(arrival), text);
    }
  }
}

/** What did not arrive: on purpose, unnoticed, or although it was promised. */
export function tellOfAbsent(device: string, { notArrived }: Arrivals, findings: Findings): void {
  for (const message of notArrived) {
    const { expect, acknowledgedMs } = message;
    if (acknowledgedMs !== null) {
      findings.fates.lost++;
      findings.addMessage('lost', device, message, 'gateway', 'acknowledged, and not in the raw topic');
    } else if (expect.as === 'refused_by_broker') findings.fates.refused++;
    else if (expect.as === 'not_sent') findings.fates.notSent++;
    else findings.fates.notArrived++;
  }
}

export function rangeOf(points: readonly { readonly timeUs: number }[]): { fromUs: number; toUs: number } {
  let fromUs = Number.POSITIVE_INFINITY;
  let toUs = Number.NEGATIVE_INFINITY;
  for (const { timeUs } of points) {
    fromUs = Math.min(fromUs, timeUs);
    toUs = Math.max(toUs, timeUs);
  }
  return { fromUs, toUs };
}

/** Returns the points that belong to nothing expected at their time. */
function compareMoment(
  device: string,
  expected: readonly ExpectedPoint[],
  there: StoredPoint[],
  findings: Findings,
): StoredPoint[] {
  const rest = [...there];
  const found = new Map<string, ExpectedPoint>();
  const missing: ExpectedPoint[] = [];
  for (const point of expected) {
    const index = rest.findIndex(({ text }) => text === point.text);
    if (index < 0) {
      missing.push(point);
      continue;
    }
    rest.splice(index, 1);
    found.set(point.text, point);
    if (point.decides !== null) findings.fates.stored++;
  }
  const others = rest.filter(({ text, k }) => {
    const original = found.get(text);
    if (original === undefined) return true;
    const again = `its reading is in the store once more, with k ${k}`;
    findings.addMessage('storedTwice', device, original.arrival.message, 'store', again);
    return false;
  });
  for (const point of missing) {
    const other = others.shift();
    if (other === undefined) tellOfMissing(device, point, findings);
    else {
      if (point.decides !== null) findings.fates.altered++;
      const text = `the store holds {${other.text}}, sent was {${point.text}}`;
      findings.addMessage('altered', device, point.arrival.message, 'store', text);
    }
  }
  return others;
}

/** Returns what is left of the points. */
function takeUndead(
  device: string,
  undead: Reference['undead'],
  points: readonly StoredPoint[],
  findings: Findings,
): StoredPoint[] {
  const rest = [...points];
  for (const { text, reason, arrival } of undead) {
    const index = rest.findIndex((point) => point.text === text);
    findings.fates[index < 0 ? 'lost' : 'stored']++;
    if (index >= 0) rest.splice(index, 1);
    const instead = index < 0 ? 'no dead letter' : 'stored';
    const seen = index < 0 ? whereSeen(arrival) : 'store';
    findings.addMessage('deadLetter', device, arrival.message, seen, `${instead}, expected the dead letter ${reason}`);
  }
  return rest;
}

function tellOfMissing(device: string, { arrival, decides }: ExpectedPoint, findings: Findings): void {
  if (decides !== null) findings.fates.lost++;
  const text = 'in the raw topic, and neither in the store nor dead-lettered';
  findings.addMessage('unaccounted', device, arrival.message, whereSeen(arrival), text);
}
