/**
 * `/metrics`: every counter is taken from the status of the roles of this process when someone scrapes, so that the
 * path of a message pays nothing for it. Names and meanings are here alone; `docs/operations.md` lists them.
 */
import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import { commandEnds } from '../core/commands.ts';
import type { ByReason, PartitionLedger } from '../core/ledger.ts';
import {
  closedReasons,
  deadLetterReasons,
  droppedReasons,
  ignoredReasons,
  notWindowedReasons,
  rejectedReasons,
  untoldReasons,
} from '../core/reasons.ts';
import type { GatewayStatus, PartitionStatus, PipelineStatus, ProcessorStatus, SpoolStatus } from '../core/status.ts';
import { refusalReasons } from '../store/port.ts';
import type { Group } from './group.ts';

interface Sample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

interface Metric {
  /** Of which role; a process without it does not show the metric. `null` = every process. */
  readonly role: PipelineStatus['role'] | null;
  readonly name: string;
  readonly help: string;
  readonly type: 'counter' | 'gauge';
  readonly labels: readonly string[];
  readonly samples: (statuses: readonly PipelineStatus[]) => readonly Sample[];
}

const metrics: readonly Metric[] = [
  {
    role: null,
    name: 'sluice_ready',
    help: '1 while the role says that it can do its work.',
    type: 'gauge',
    labels: ['role'],
    samples: (statuses) => statuses.map(({ role, ready }) => ({ labels: { role }, value: ready ? 1 : 0 })),
  },

  gateway('received_total', 'counter', 'Messages taken from clients in this run.', (s) => s.ledger.received),
  gateway('appended_total', 'counter', 'Messages that the bus holds durably, in this run.', (s) => s.ledger.appended),
  gatewayByReason(
    'dropped_total',
    'Messages taken and not appended in this run',
    Object.keys(droppedReasons),
    (s) => s.ledger.dropped,
  ),
  gateway('held_messages', 'gauge', 'Messages taken and neither appended nor dropped yet.', (s) => s.ledger.held),
  gateway('held_bytes', 'gauge', 'Their payload bytes.', (s) => s.heldBytes),
  gateway(
    'inherited_total',
    'counter',
    'Messages that an earlier run had left in the spool.',
    (s) => s.ledger.inherited,
  ),
  spool('messages', 'gauge', 'Messages in the spool: acknowledged, and not on the bus yet.', (s) => s.records),
  spool('bytes', 'gauge', 'About what they take.', (s) => s.bytes),
  spool('max_bytes', 'gauge', 'What they may take: at it the spool is full.', (s) => s.maxBytes),
  spool('oldest_age_seconds', 'gauge', 'About since when the oldest of them waits.', (s, nowMs) =>
    s.oldestMs === null ? 0 : Math.max(0, nowMs - s.oldestMs) / 1000,
  ),
  spool('spooled_total', 'counter', 'Messages that went into the spool in this run.', (s) => s.spooled),
  spool('drained_total', 'counter', 'Messages that left it for the bus in this run.', (s) => s.drained),
  gateway('connections', 'gauge', 'TCP connections open, accepted or not.', (s) => s.connections),
  gateway('clients', 'gauge', 'Clients connected.', (s) => s.clients),
  gateway('devices', 'gauge', 'Devices online at this gateway.', (s) => s.presence.devices),
  gateway(
    'presence_waiting',
    'gauge',
    'Devices that came or went and were not told of yet.',
    (s) => s.presence.waiting,
  ),
  gateway(
    'presence_given_up_total',
    'counter',
    'Devices that came or went and were never told of.',
    (s) => s.presence.givenUp,
  ),
  gateway('lost_devices_total', 'counter', 'Devices of gateways that were gone, told offline.', (s) => s.presence.lost),
  gateway('read_ahead_bytes', 'gauge', 'Bytes read from clients and not yet taken.', (s) => s.readAheadBytes),
  gateway('throttled_total', 'counter', 'Times a client had to wait because a cap was reached.', (s) => s.throttled),
  gateway('slowed_total', 'counter', 'Times a client was not read because it had sent too fast.', (s) => s.slowed),
  gateway(
    'connects_delayed_total',
    'counter',
    'Connections that had to wait because more came than the connect rate.',
    (s) => s.connectsDelayed,
  ),
  gateway('logins_failed_total', 'counter', 'Logins with a wrong password.', (s) => s.loginsFailed),
  gateway('logins_delayed_total', 'counter', 'Logins that waited for others that failed.', (s) => s.loginsDelayed),
  gateway(
    'warnings',
    'gauge',
    'Things to look at though it does its work: its status names them.',
    (s) => s.warnings.length,
  ),
  gatewayByReason(
    'closed_total',
    'Connections that the gateway refused or ended in this run',
    Object.keys(closedReasons),
    (s) => s.closed,
  ),
  {
    role: 'gateway',
    name: 'sluice_gateway_ack_seconds',
    help: 'From taking a message to its acknowledgement, over the last seconds.',
    type: 'gauge',
    labels: ['quantile'],
    samples: (statuses) =>
      gatewaysOf(statuses).flatMap(({ ackMs }) =>
        ackMs === null
          ? []
          : [
              { labels: { quantile: '0.5' }, value: ackMs.p50 / 1000 },
              { labels: { quantile: '0.99' }, value: ackMs.p99 / 1000 },
            ],
      ),
  },

  gateway(
    'commands_pending',
    'gauge',
    'Commands without their end, in the partitions that this gateway decides.',
    (s) => s.commands.pending,
  ),
  ...commandEnds.map((end) =>
    gateway(`commands_${end}_total`, 'counter', `Commands that ended as ${end}.`, (s) => s.commands.ended[end] ?? 0),
  ),
  gateway('commands_sent_total', 'counter', 'Times that a command was sent to a device.', (s) => s.commands.sent),
  gateway(
    'errors_told_total',
    'counter',
    'Dead letters that a device was told of, and acknowledged.',
    (s) => s.commands.errorsTold,
  ),
  gatewayByReason(
    'errors_untold_total',
    'Dead letters that a device that listens was not told of',
    Object.keys(untoldReasons),
    (s) => s.commands.errorsUntold,
  ),

  partition('position', 'gauge', 'Offset after the last raw record whose outputs are out.', (p) => p.position),
  partition('end_offset', 'gauge', 'Offset after the newest raw record known.', (p) => p.endOffset),
  partition('lag_records', 'gauge', 'Raw records that wait to be processed.', (p) => p.endOffset - p.position),
  partition('clock_seconds', 'gauge', 'Partition clock: the largest timestamp seen.', (p) => p.clockMs / 1000),
  ledger('records_total', 'Raw records counted, ticks included.', (l) => l.nextOffset - l.firstOffset),
  ledger('ticks_total', 'Ticks: what gateways append where there is silence.', (l) => l.ticks),
  ledger('redelivered_total', 'Raw records that were appended twice.', (l) => l.redelivered),
  ledger('messages_total', 'Messages of devices.', (l) => l.messages),
  ledger('decoded_total', 'Messages decoded into readings.', (l) => l.decoded),
  ledgerByReason('ignored_total', 'Messages passed over', Object.keys(ignoredReasons), (l) => l.ignored),
  ledgerByReason('dead_lettered_total', 'Messages in the DLQ', Object.keys(deadLetterReasons), (l) => l.deadLettered),
  ledger('readings_total', 'Readings decoded.', (l) => l.readings),
  ledger('duplicates_total', 'Readings that were there already.', (l) => l.duplicates),
  ledgerByReason('rejected_total', 'Readings rejected', Object.keys(rejectedReasons), (l) => l.rejected),
  ledger('accepted_total', 'Readings accepted.', (l) => l.accepted),
  ledger('stored_total', 'Readings stored.', (l) => l.stored),
  ledgerByReason('refused_total', 'Readings the store refused', refusalReasons, (l) => l.refused),
  ledger('windowed_total', 'Readings counted in their windows.', (l) => l.windowed),
  ledger('late_total', 'Readings too late for their windows; stored, and on the late topic.', (l) => l.late),
  ledgerByReason('not_windowed_total', 'Readings in no window', Object.keys(notWindowedReasons), (l) => l.notWindowed),

  processor('points_written_total', 'counter', 'Points written in this run.', (s) => s.pointsWritten),
  processor(
    'rollups_written_total',
    'counter',
    'Rollups written in this run, corrections too.',
    (s) => s.rollupsWritten,
  ),
  processor('alerts_raised_total', 'counter', 'Alert transitions published in this run.', (s) => s.alertsRaised),
  processor('devices', 'gauge', 'Devices with state in this process.', (s) => s.devices),
  processor('skewed_devices', 'gauge', 'Devices whose clock is off by more than it may.', (s) => s.skewed.count),
];

const buildInfo = { name: 'sluice_build_info', help: 'Always 1; says the version.', labelNames: ['version'] };
const openStreams = { name: 'sluice_web_event_streams', help: 'Clients of /api/events connected.' };
const runningWorkers = { name: 'sluice_workers', help: 'Workers of a gateway that take clients.' };
const workerRestarts = { name: 'sluice_worker_restarts_total', help: 'Workers that ended and were started again.' };
const slowStreams = { name: 'sluice_web_event_streams_too_slow_total', help: 'Clients closed for not reading.' };

/** The names of our own metrics, for the test that holds the documentation against them. */
export const metricNames: readonly string[] = [
  ...metrics,
  buildInfo,
  openStreams,
  slowStreams,
  runningWorkers,
  workerRestarts,
].map(({ name }) => name);

/** How many listen to the events of this process. */
export interface StreamCounts {
  readonly size: number;
  readonly tooSlow: number;
}

/** What else is counted in a process that has it. */
interface Counted {
  /** Where there is a page. */
  readonly streams: StreamCounts | null;
  /** Where there are workers. */
  readonly group: Group | null;
}

/** A registry of its own: ours, and what is known of the process and its event loop. */
export function makeRegistry(
  version: string,
  status: () => readonly PipelineStatus[],
  { streams, group }: Counted,
): Registry {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });
  new Gauge({ ...buildInfo, registers }).set({ version }, 1);
  if (streams !== null) {
    const open: Gauge = new Gauge({ ...openStreams, registers, collect: () => open.set(streams.size) });
    const slow: Counter = new Counter({ ...slowStreams, registers, collect: () => setTo(slow, streams.tooSlow) });
  }
  if (group !== null) {
    const running: Gauge = new Gauge({ ...runningWorkers, registers, collect: () => running.set(group.running) });
    const ended: Counter = new Counter({ ...workerRestarts, registers, collect: () => setTo(ended, group.restarts) });
  }
  const roles = new Set(status().map(({ role }) => role));
  for (const { role, name, help, type, labels, samples } of metrics) {
    if (role !== null && !roles.has(role)) continue;
    const settings = { name, help, labelNames: [...labels], registers };
    if (type === 'counter') {
      const counter: Counter = new Counter({
        ...settings,
        collect: () => {
          counter.reset();
          for (const { labels: own, value } of samples(status())) counter.inc(own, value);
        },
      });
    } else {
      const gauge: Gauge = new Gauge({
        ...settings,
        collect: () => {
          gauge.reset();
          for (const { labels: own, value } of samples(status())) gauge.set(own, value);
        },
      });
    }
  }
  return registry;
}

/** A counter of ours counts elsewhere. */
function setTo(counter: Counter, value: number): void {
  counter.reset();
  counter.inc(value);
}

function gateway(name: string, type: Metric['type'], help: string, of: (status: GatewayStatus) => number): Metric {
  const samples: Metric['samples'] = (statuses) => gatewaysOf(statuses).map((s) => ({ labels: {}, value: of(s) }));
  return { role: 'gateway', name: `sluice_gateway_${name}`, help, type, labels: [], samples };
}

function gatewayByReason(
  name: string,
  what: string,
  reasons: readonly string[],
  of: (status: GatewayStatus) => ByReason<string>,
): Metric {
  const samples: Metric['samples'] = (statuses) =>
    gatewaysOf(statuses).flatMap((status) => samplesByReason(of(status), reasons, {}));
  const help = `${what}, by reason (docs/reasons.md).`;
  return { role: 'gateway', name: `sluice_gateway_${name}`, help, type: 'counter', labels: ['reason'], samples };
}

/** 0 without one. */
function spool(
  name: string,
  type: Metric['type'],
  help: string,
  of: (spool: SpoolStatus, nowMs: number) => number,
): Metric {
  return gateway(`spool_${name}`, type, help, (s) => (s.spool === null ? 0 : of(s.spool, s.atMs)));
}

function processor(name: string, type: Metric['type'], help: string, of: (status: ProcessorStatus) => number): Metric {
  const samples: Metric['samples'] = (statuses) => processorsOf(statuses).map((s) => ({ labels: {}, value: of(s) }));
  return { role: 'processor', name: `sluice_processor_${name}`, help, type, labels: [], samples };
}

/** By partition, so that one that moves to another process is a new series there and no reset of a sum here. */
function partition(name: string, type: Metric['type'], help: string, of: (status: PartitionStatus) => number): Metric {
  return {
    role: 'processor',
    name: `sluice_processor_${name}`,
    help,
    type,
    labels: ['partition'],
    samples: (statuses) =>
      processorsOf(statuses).flatMap(({ partitions }) =>
        Object.entries(partitions).map(([id, status]) => ({ labels: { partition: id }, value: of(status) })),
      ),
  };
}

function ledger(name: string, help: string, of: (ledger: PartitionLedger) => number): Metric {
  return partition(name, 'counter', help, (status) => of(status.ledger));
}

function ledgerByReason(
  name: string,
  what: string,
  reasons: readonly string[],
  of: (ledger: PartitionLedger) => ByReason<string>,
): Metric {
  return {
    role: 'processor',
    name: `sluice_processor_${name}`,
    help: `${what}, by reason (docs/reasons.md).`,
    type: 'counter',
    labels: ['partition', 'reason'],
    samples: (statuses) =>
      processorsOf(statuses).flatMap(({ partitions }) =>
        Object.entries(partitions).flatMap(([id, status]) =>
          samplesByReason(of(status.ledger), reasons, { partition: id }),
        ),
      ),
  };
}

/** Every reason of the closed list, also at 0: a rate is right from the first one on. */
function samplesByReason(counters: ByReason<string>, reasons: readonly string[], labels: Sample['labels']): Sample[] {
  return reasons.map((reason) => ({ labels: { ...labels, reason }, value: counters[reason] ?? 0 }));
}

function gatewaysOf(statuses: readonly PipelineStatus[]): GatewayStatus[] {
  return statuses.filter((status) => status.role === 'gateway');
}

function processorsOf(statuses: readonly PipelineStatus[]): ProcessorStatus[] {
  return statuses.filter((status) => status.role === 'processor');
}
