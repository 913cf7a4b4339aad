/**
 * Which messages of a device are in the log, and in which order. Two witnesses: the truth itself (what was acknowledged
 * is there, in the order in which it was sent), and the raw topic, which is asked when the first does not agree.
 */
import type { StoredReading } from '../store/port.ts';
import { type DeadLetter, type Evidence, messageKey } from './evidence.ts';
import { fieldsText } from './identity.ts';
import type { Sighting, Sightings } from './raw-log.ts';
import type { DeviceTruth, Message } from './truth-file.ts';

/** By how much the clock of a simulator may be ahead of the gateway's. */
const clockSlackMs = 5000;

/** One record of the raw topic. A message may arrive more than once. */
export interface Arrival {
  readonly message: Message;
  /** `null` as long as the raw topic was not asked. */
  readonly sighting: Sighting | null;
  readonly deadLetter: DeadLetter | null;
}

export interface Arrivals {
  /** In the order in which the processor sees them. */
  readonly arrived: readonly Arrival[];
  readonly notArrived: readonly Message[];
  /** The truth alone cannot tell: the raw topic has to be asked. */
  readonly isDoubtful: boolean;
}

/** Everything acknowledged has arrived; what was not is looked for in the store and among the dead letters. */
export function arrivalsByTruth(
  { messages }: DeviceTruth,
  stored: ReadonlyMap<number, readonly StoredReading[]>,
  evidence: Evidence,
  maxFutureMs: number,
): Arrivals {
  const arrived: Arrival[] = [];
  const notArrived: Message[] = [];
  let isDoubtful = false;
  const used = new Map<string, number>();
  for (const message of messages) {
    const key = messageKey(message.topic, message.digest);
    const letters = evidence.deadLetters.get(key);
    const next = used.get(key) ?? 0;
    const deadLetter = letters?.[next] ?? null;
    if (deadLetter !== null) used.set(key, next + 1);
    if (deadLetter !== null || message.acknowledgedMs !== null || isStored(message, stored)) {
      arrived.push({ message, sighting: null, deadLetter });
    } else {
      notArrived.push(message);
      if (message.sentMs !== null && isMeantToArrive(message)) isDoubtful = true;
    }
    if (needsItsRecord(message, letters?.length ?? 0, maxFutureMs)) isDoubtful = true;
  }
  return { arrived, notArrived, isDoubtful };
}

/** What it should end as depends on when the gateway took it, or on how often. */
function needsItsRecord({ expect, reading, sentMs, copies }: Message, letters: number, maxFutureMs: number): boolean {
  if (sentMs === null) return false;
  if (expect.as === 'dead_letter') return !expect.reason.startsWith('refused_') && letters < copies;
  if (reading === null) return false;
  // Without a time of its own, a reading is at the time of its record; one of the future may be rejected.
  return reading.timeMs === null || (expect.as === 'stored' && reading.timeMs > sentMs + maxFutureMs - clockSlackMs);
}

/** What the log says. Equal messages share its records: those that were acknowledged come first. */
export function arrivalsByLog({ messages }: DeviceTruth, sightings: Sightings, evidence: Evidence): Arrivals {
  const arrived: Arrival[] = [];
  const notArrived: Message[] = [];
  for (const [key, alike] of Map.groupBy(messages, ({ topic, digest }) => messageKey(topic, digest))) {
    const records = sightings.get(key) ?? [];
    const letters = new Map<string, DeadLetter>();
    /** Those that the gateway wrote itself: their messages are in no raw topic. */
    const ofGateway: DeadLetter[] = [];
    for (const letter of evidence.deadLetters.get(key) ?? []) {
      if (letter.offset === null) ofGateway.push(letter);
      else letters.set(`${letter.partition}/${letter.offset}`, letter);
    }
    const holders = new Set(likeliest(alike, records.length));
    const inOrder = alike.filter((message) => holders.has(message));
    records.forEach((sighting, i) => {
      const message = inOrder[Math.min(i, inOrder.length - 1)]!;
      const deadLetter = letters.get(`${sighting.partition}/${sighting.offset}`) ?? null;
      arrived.push({ message, sighting, deadLetter });
    });
    for (const message of alike) {
      if (holders.has(message)) continue;
      const deadLetter = ofGateway.shift();
      if (deadLetter === undefined) notArrived.push(message);
      else arrived.push({ message, sighting: null, deadLetter });
    }
  }
  const place = ({ sighting }: Arrival) => sighting?.offset ?? Number.POSITIVE_INFINITY;
  arrived.sort((a, b) => place(a) - place(b) || a.message.n - b.message.n);
  return { arrived, notArrived, isDoubtful: false };
}

/** The messages that so many records belong to. */
function likeliest(alike: readonly Message[], records: number): readonly Message[] {
  const rank = (message: Message) => (message.acknowledgedMs !== null ? 0 : isMeantToArrive(message) ? 1 : 2);
  const ranked = [...alike].sort((a, b) => rank(a) - rank(b) || a.n - b.n);
  const regular = ranked.filter((message) => rank(message) < 2);
  return (regular.length > 0 ? regular : ranked).slice(0, records);
}

export function isMeantToArrive({ expect }: Message): boolean {
  return expect.as === 'stored' || expect.as === 'dead_letter';
}

function isStored({ reading }: Message, stored: ReadonlyMap<number, readonly StoredReading[]>): boolean {
  if (reading === null || reading.timeMs === null) return false;
  const points = stored.get(Math.round(reading.timeMs * 1000));
  if (points === undefined) return false;
  const text = fieldsText(reading.fields);
  return points.some(({ fields }) => fieldsText(fields) === text);
}
