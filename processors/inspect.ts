/**
 * What the counted snapshot of a partition holds, for people to look at: `sluice state show`. It is read as its next owner
 * would, with the configuration in force, and nothing is changed by that.
 */
import type { Bus } from '../bus/port.ts';
import type { Alert } from '../core/alert.ts';
import { isSluiceError } from '../core/errors.ts';
import type { PartitionLedger } from '../core/ledger.ts';
import type { SkewedDevice } from '../core/status.ts';
import type { TopicNames } from '../core/topics.ts';
import type { RollupEvery } from '../store/port.ts';
import { StateWriter } from './codec.ts';
import type { Device } from './device.ts';
import type { ProcessingOptions } from './options.ts';
import type { RuleState } from './rules/device-rules.ts';
import type { Rule } from './rules/file.ts';
import { readSnapshot, type Snapshot } from './snapshot.ts';
import { type CommitNote, decodeNote, type SnapshotRead, type SnapshotRef, SnapshotTopic } from './state.ts';
import { Topology } from './topology.ts';
import type { KeptWindow } from './window/rollups.ts';
import type { State } from './window/window.ts';

export interface InspectContext {
  /** Started. */
  readonly bus: Bus;
  readonly topics: TopicNames;
  /** Of the processors. */
  readonly group: string;
  readonly options: ProcessingOptions;
  readonly rules: readonly Rule[];
}

export interface PartitionReport {
  readonly partition: number;
  /** What is committed; `null`: nothing yet. */
  readonly commit: {
    readonly offset: number;
    readonly current: SnapshotRef;
    readonly previous: SnapshotRef | null;
  } | null;
  /** Why the snapshot that the commit names cannot be read, and what to do; `null` when it can. */
  readonly problem: string | null;
  /** What could be read: the one that the commit names or, with a `problem`, the one before; `null`: neither. */
  readonly state: StateReport | null;
}

export interface StateReport {
  readonly snapshot: SnapshotRef;
  readonly bytes: number;
  readonly writtenAtMs: number;
  /** Partition clock. */
  readonly clockMs: number;
  readonly devices: number;
  /** Heard of last. */
  readonly newest: DeviceBrief | null;
  /** Which takes most of the snapshot. */
  readonly biggest: DeviceBrief | null;
  readonly windows: Readonly<Record<RollupEvery, Readonly<Record<State, number>>>>;
  /** What waits to be written once more. */
  readonly settle: { readonly points: number; readonly alerts: number };
  readonly openAlerts: readonly Alert[];
  readonly skewed: readonly SkewedDevice[];
  readonly ledger: PartitionLedger;
  /** Of the device that was asked for; `null`: of none, or it is not there. */
  readonly device: DeviceReport | null;
}

export interface DeviceBrief {
  readonly site: string;
  readonly device: string;
  readonly lastSeenMs: number;
  readonly bytes: number;
}

export interface DeviceReport extends DeviceBrief {
  /** `null` before its first reading that was not late. */
  readonly newestUs: number | null;
  readonly watermarkUs: number | null;
  /** Readings before it are late. */
  readonly horizonUs: number | null;
  readonly clockSkewMs: number;
  /** Identities by which duplicates are known: of readings since a time, and of those without a time of their own. */
  readonly seen: { readonly count: number; readonly oldestUs: number | null; readonly untimed: number };
  readonly windows: readonly KeptWindow[];
  /** Of states and of the windows of the user: what they take. */
  readonly others: readonly { readonly name: string; readonly bytes: number }[];
  readonly rules: readonly RuleState[];
}

/** The owner may tidy a snapshot away while it is read: its newer commit names another. */
const attempts = 3;

/** One partition; `device` is a record key or `null`. Rejects with STATE_UNREADABLE when a stranger has committed. */
export async function inspectPartition(
  context: InspectContext,
  partition: number,
  device: string | null,
): Promise<PartitionReport> {
  for (let attempt = 1; ; attempt++) {
    const committed = await committedOf(context, partition);
    if (committed === null) return { partition, commit: null, problem: null, state: null };
    const note = decodeNote(committed.metadata);
    const { read, problem } = await tryToRead(context, partition, note);
    if (problem !== null && attempt < attempts) {
      const newest = await committedOf(context, partition);
      if (newest?.metadata !== committed.metadata) continue;
    }
    const state = read === null ? null : stateReport(context, read, device);
    return { partition, commit: { offset: committed.offset, ...note }, problem, state };
  }
}

async function committedOf({ bus, topics, group }: InspectContext, partition: number) {
  return (await bus.committed(topics.raw, group))[partition] ?? null;
}

async function tryToRead(
  { bus, topics }: InspectContext,
  partition: number,
  note: CommitNote,
): Promise<{ read: SnapshotRead | null; problem: string | null }> {
  const problems: string[] = [];
  try {
    const read = await new SnapshotTopic(bus, topics.processorState, partition).read(note, ({ message }) =>
      problems.push(message),
    );
    return { read, problem: problems[0] ?? null };
  } catch (error) {
    if (!isSluiceError(error, 'STATE_UNREADABLE')) throw error;
    return { read: null, problem: problems[0] ?? error.message };
  }
}

function stateReport({ options, rules }: InspectContext, read: SnapshotRead, key: string | null): StateReport {
  const { used, bytes, writtenAtMs } = read;
  const snapshot: Snapshot = readSnapshot(bytes);
  const topology = new Topology(options, rules, used.offset);
  topology.restore(snapshot.topology);
  const devices = [...topology.devices.values()];
  const scratch = new StateWriter();
  const briefs = devices.map((device) => brief(device, scratch));
  const device = key === null ? undefined : topology.devices.get(key);
  return {
    snapshot: used,
    bytes: bytes.length,
    writtenAtMs,
    clockMs: topology.clockMs,
    devices: devices.length,
    newest: largest(briefs, ({ lastSeenMs }) => lastSeenMs),
    biggest: largest(briefs, (each) => each.bytes),
    windows: { '1m': tally(devices, '1m'), '1h': tally(devices, '1h'), '1d': tally(devices, '1d') },
    settle: { points: snapshot.settlePoints.length, alerts: snapshot.settleAlerts.length },
    openAlerts: topology.openAlerts(),
    skewed: topology.clocks.list(),
    ledger: topology.ledger,
    device: device === undefined ? null : deviceReport(device, options, scratch),
  };
}

function deviceReport(device: Device, { states, windows = [] }: ProcessingOptions, scratch: StateWriter): DeviceReport {
  const { seen, rules, rollups, clock } = device;
  const names = [...(states ? ['state_1m'] : []), ...windows.map(({ name }) => name)];
  return {
    ...brief(device, scratch),
    newestUs: finite(device.newestUs),
    watermarkUs: finite(device.watermarkUs),
    horizonUs: finite(seen.horizonUs),
    clockSkewMs: clock.skewMs,
    seen: { count: seen.size, oldestUs: seen.oldestUs, untimed: seen.untimedSize },
    windows: rollups.kept(),
    others: device.windowerBytes(scratch).map((bytes, i) => ({ name: names[i]!, bytes })),
    rules: rules.states(),
  };
}

function brief(device: Device, scratch: StateWriter): DeviceBrief {
  scratch.clear();
  device.save(scratch);
  return { site: device.site, device: device.device, lastSeenMs: device.lastSeenMs, bytes: scratch.length };
}

function tally(devices: readonly Device[], every: RollupEvery): Record<State, number> {
  const sum = { open: 0, provisional: 0, final: 0 };
  for (const { rollups } of devices) {
    const own = rollups.tally(every);
    for (const state of ['open', 'provisional', 'final'] as const) sum[state] += own[state];
  }
  return sum;
}

function largest<T>(items: readonly T[], of: (item: T) => number): T | null {
  return items.reduce<T | null>((best, item) => (best === null || of(item) > of(best) ? item : best), null);
}

function finite(us: number): number | null {
  return Number.isFinite(us) ? us : null;
}
