/** One device from truth to findings: arrivals → reference → readings, late topic, rollups, alerts. */
import type { Rule } from '../processors/rules/file.ts';
import type { Store, StoredReading } from '../store/port.ts';
import { compareAlerts } from './alerts.ts';
import { type Arrivals, arrivalsByLog, arrivalsByTruth } from './arrivals.ts';
import type { Evidence } from './evidence.ts';
import { Findings } from './findings.ts';
import type { Sightings } from './raw-log.ts';
import { byTime, compareReadings, rangeOf, tellOfAbsent } from './readings.ts';
import { follow, oldestUs, type Reference, type TimeOptions, whereSeen } from './reference.ts';
import { compareRollups } from './rollups.ts';
import type { DeviceTruth } from './truth-file.ts';

export interface Surroundings {
  readonly store: Store;
  readonly evidence: Evidence;
  readonly rules: readonly Rule[];
  readonly options: TimeOptions;
  /** Windows that end by then are closed by silence at the latest, microseconds. */
  readonly closedBySilenceUs: (device: DeviceTruth) => number;
  readonly maxListed: number;
}

/** By the truth alone. `null`: something does not agree, and the raw topic has to be asked. */
export async function verifyByTruth(device: DeviceTruth, around: Surroundings): Promise<Findings | null> {
  const times = device.messages
    // What must not be there is looked for as well.
    .filter(({ expect, reading }) => expect.as !== 'dead_letter' && reading !== null && reading.timeMs !== null)
    .map(({ reading }) => ({ timeUs: Math.round(reading!.timeMs! * 1000) }));
  const stored = await storedReadings(device, times, around.store);
  const arrivals = arrivalsByTruth(device, stored, around.evidence, around.options.maxFutureMs);
  if (arrivals.isDoubtful) return null;
  const findings = new Findings(around.maxListed);
  const reference = follow(device.key, arrivals.arrived, around.options, findings);
  await compare(device, arrivals, reference, stored, around, findings);
  return findings.total === 0 ? findings : null;
}

/** By the raw topic: what is wrong then, is wrong. */
export async function verifyByLog(device: DeviceTruth, sightings: Sightings, around: Surroundings): Promise<Findings> {
  const arrivals = arrivalsByLog(device, sightings, around.evidence);
  const findings = new Findings(around.maxListed);
  const reference = follow(device.key, arrivals.arrived, around.options, findings);
  const wanted = [...reference.points, ...reference.undead.filter(({ timeUs }) => timeUs >= oldestUs)];
  const stored = await storedReadings(device, wanted, around.store);
  await compare(device, arrivals, reference, stored, around, findings);
  return findings;
}

async function compare(
  device: DeviceTruth,
  arrivals: Arrivals,
  reference: Reference,
  stored: ReadonlyMap<number, readonly StoredReading[]>,
  { store, evidence, rules, options, closedBySilenceUs }: Surroundings,
  findings: Findings,
): Promise<void> {
  tellOfAbsent(device.key, arrivals, findings);
  compareReadings(device.key, reference, stored, findings);
  compareLate(device.key, reference, evidence.late.get(device.key) ?? new Set(), findings);
  if (options.rollups.includes('1m')) {
    await compareRollups(device, reference, closedBySilenceUs(device), store, findings);
  }
  compareAlerts(device, reference, rules, evidence.alerts.get(device.key) ?? [], findings);
}

function compareLate(
  device: string,
  { late, inTime }: Reference,
  topic: ReadonlySet<string>,
  findings: Findings,
): void {
  for (const [identity, arrival] of late) {
    if (topic.has(identity)) continue;
    findings.addMessage(
      'late',
      device,
      arrival.message,
      whereSeen(arrival),
      'came too late, and is not in the late topic',
    );
  }
  for (const identity of topic) {
    const arrival = inTime.get(identity);
    if (arrival === undefined || late.has(identity)) continue;
    findings.addMessage('late', device, arrival.message, 'store', 'is in the late topic, though it came in time');
  }
}

async function storedReadings(
  { site, device }: DeviceTruth,
  times: readonly { readonly timeUs: number }[],
  store: Store,
): Promise<Map<number, StoredReading[]>> {
  if (times.length === 0) return new Map();
  const { fromUs, toUs } = rangeOf(times);
  const toMs = Math.floor(toUs / 1000) + 1;
  return byTime(await store.readings(site, device, Math.floor(fromUs / 1000), toMs));
}
