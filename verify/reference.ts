/**
 * What must have become of the messages of one device, computed the slow and obvious way from their order alone. Nothing
 * of the processor is used: what it does cleverly and in slices is done here plainly and at once.
 */
import { type Arrival, isMeantToArrive } from './arrivals.ts';
import type { Findings, LastSeen } from './findings.ts';
import { fieldsText, identityOf } from './identity.ts';
import type { Message } from './truth-file.ts';

export interface TimeOptions {
  readonly outOfOrdernessMs: number;
  readonly latenessMs: number;
  readonly maxFutureMs: number;
  /** Those that are written. */
  readonly rollups: readonly string[];
}

/** A value as a window or a rule sees it; times are integer microseconds. */
export interface Sample {
  readonly timeUs: number;
  readonly value: number;
  /** Labels of its message. */
  readonly faults: readonly string[];
}

export interface ExpectedPoint {
  readonly timeUs: number;
  /** `fieldsText` of what must be stored. */
  readonly text: string;
  readonly arrival: Arrival;
  /** `null`: the fate of its message is decided elsewhere. */
  readonly decides: Message | null;
}

export interface Reference {
  readonly points: readonly ExpectedPoint[];
  /** What should have been dead-lettered and was not. */
  readonly undead: readonly (ExpectedPoint & { readonly reason: string })[];
  /** Identities of readings that came too late for their window, and of those that came in time. */
  readonly late: ReadonlyMap<string, Arrival>;
  readonly inTime: ReadonlyMap<string, Arrival>;
  /** Field → samples of readings that came in time, in their order. */
  readonly samples: ReadonlyMap<string, readonly Sample[]>;
  readonly watermarkUs: number;
}

export const minuteUs = 60_000_000;
/** 2000-01-01: an earlier event time is that of a clock that was never set. */
export const oldestUs = Date.UTC(2000) * 1000;

export function minuteOf(timeUs: number): number {
  return Math.floor(timeUs / minuteUs) * minuteUs;
}

export function whereSeen({ sighting, deadLetter }: Arrival): LastSeen {
  if (sighting !== null) return `raw ${sighting.partition}/${sighting.offset}`;
  return deadLetter === null ? 'gateway' : 'dlq';
}

/** Goes through what arrived; tells `findings` of dead letters and of what must not have arrived. */
export function follow(
  device: string,
  arrived: readonly Arrival[],
  options: TimeOptions,
  findings: Findings,
): Reference {
  const points: ExpectedPoint[] = [];
  const undead: (ExpectedPoint & { reason: string })[] = [];
  const late = new Map<string, Arrival>();
  const inTime = new Map<string, Arrival>();
  const untimed = new Set<string>();
  const samples = new Map<string, Sample[]>();
  const told = new Set<Message>();
  let newestUs = Number.NEGATIVE_INFINITY;

  for (const arrival of arrived) {
    const { message, deadLetter } = arrival;
    const isFirst = !told.has(message);
    told.add(message);
    if (isFirst) tellOfArrival(device, arrival, findings);
    const timeUs = timeOf(arrival);
    const reason = deadLetterReason(arrival, timeUs, options);
    if (deadLetter !== null) {
      if (isFirst) tellOfDeadLetter(device, message, deadLetter.reason, reason, findings);
      // A refused reading is in no store, but it was counted before the store was asked.
      if (!deadLetter.reason.startsWith('refused_')) continue;
    }
    const { reading } = message;
    const text = reading === null ? '' : fieldsText(reading.fields);
    const point = { timeUs, text, arrival, decides: isFirst ? message : null };
    if (deadLetter === null && reason !== null) {
      if (isFirst) undead.push({ ...point, reason });
      else if (!reason.startsWith('refused_')) tellOfCopy(device, arrival, reason, findings);
      continue;
    }
    if (reading === null) continue;

    const identity = identityOf(timeUs, reading.seq, reading.fields);
    if (timeUs < minuteOf(newestUs - (options.outOfOrdernessMs + options.latenessMs) * 1000)) {
      if (isFirst) findings.late++;
      if (!late.has(identity) && deadLetter === null) points.push(point);
      else if (isFirst && deadLetter === null) findings.fates.repeated++;
      late.set(identity, arrival);
      continue;
    }
    if (isRepeat(arrival, identity, inTime, untimed)) {
      if (isFirst && deadLetter === null) findings.fates.repeated++;
      continue;
    }
    inTime.set(identity, arrival);
    if (deadLetter === null) points.push(point);
    for (const [field, value] of Object.entries(reading.fields)) {
      if (typeof value !== 'number') continue;
      const known = samples.get(field);
      const sample = { timeUs, value, faults: message.faults };
      if (known === undefined) samples.set(field, [sample]);
      else known.push(sample);
    }
    newestUs = Math.max(newestUs, timeUs);
  }
  return { points, undead, late, inTime, samples, watermarkUs: newestUs - options.outOfOrdernessMs * 1000 };
}

/** Event time, else the time of receipt, integer microseconds. */
function timeOf({ message, sighting }: Arrival): number {
  const timeMs = message.reading?.timeMs ?? null;
  return timeMs === null ? (sighting?.timestampMs ?? 0) * 1000 : Math.round(timeMs * 1000);
}

/** Why the message must be a dead letter; `null`: its reading must be accepted. What the clocks decide is computed. */
function deadLetterReason(arrival: Arrival, timeUs: number, { maxFutureMs }: TimeOptions): string | null {
  const { message, sighting, deadLetter } = arrival;
  const { expect, reading } = message;
  const told = expect.as === 'dead_letter' ? expect.reason : null;
  const byClock = told === 'future' || told === 'too_old';
  if (reading === null || (told !== null && !byClock)) return told;
  // A dead letter carries the receive time of its message.
  const receivedMs = sighting?.timestampMs ?? deadLetter?.timestampMs;
  if (receivedMs === undefined) return told;
  if (timeUs > (receivedMs + maxFutureMs) * 1000) return 'future';
  return timeUs < oldestUs ? 'too_old' : null;
}

/** A reading without a time is the same one when `seq` and fields are; without `seq` every record is a new one. */
function isRepeat(
  { message }: Arrival,
  identity: string,
  inTime: ReadonlyMap<string, Arrival>,
  untimed: Set<string>,
): boolean {
  const { timeMs, seq, fields } = message.reading!;
  if (timeMs !== null) return inTime.has(identity);
  if (seq === null) return false;
  const known = `${seq} ${fieldsText(fields)}`;
  if (untimed.has(known)) return true;
  untimed.add(known);
  return false;
}

function tellOfArrival(device: string, arrival: Arrival, findings: Findings): void {
  const { message } = arrival;
  if (message.acknowledgedMs === null) findings.unacknowledgedArrived++;
  if (isMeantToArrive(message)) return;
  const what = message.expect.as === 'not_sent' ? 'was never sent' : 'had to be refused by the broker';
  findings.addMessage('taken', device, message, whereSeen(arrival), `is there, though it ${what}`);
}

/** Every record that cannot be read is a dead letter of its own; only a reading is known as one that came before. */
function tellOfCopy(device: string, arrival: Arrival, reason: string, findings: Findings): void {
  const text = `it came again, and then no dead letter, expected one more with the reason ${reason}`;
  findings.addMessage('deadLetter', device, arrival.message, whereSeen(arrival), text);
}

function tellOfDeadLetter(
  device: string,
  message: Message,
  reason: string,
  expected: string | null,
  findings: Findings,
): void {
  findings.fates.deadLettered++;
  findings.countDeadLetter(reason, reason === expected ? 'expected' : 'unexpected');
  if (reason === expected) return;
  const instead = expected === null ? 'expected in the store' : `expected ${expected}`;
  findings.addMessage('deadLetter', device, message, 'dlq', `dead-lettered as ${reason}, ${instead}`);
}
