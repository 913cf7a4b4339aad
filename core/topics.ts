/** The topics of the bus (design: `docs/topics.md`). Names carry a configurable prefix; `sluice setup` creates them. */
export interface TopicSpec {
  readonly name: string;
  readonly partitions: number;
  /** `delete`: old records go by age and size. `compact`: the newest record per key stays. */
  readonly cleanup: 'delete' | 'compact';
  /** Only for `delete`. Milliseconds; `null` = for ever. */
  readonly retentionMs: number | null;
  /** Only for `delete`. Bytes of one partition; `null` = no limit. */
  readonly retentionBytes: number | null;
  readonly maxMessageBytes: number;
}

export interface TopicNames {
  readonly raw: string;
  readonly dlq: string;
  readonly late: string;
  readonly readings: string;
  readonly deviceStatus: string;
  readonly clientSessions: string;
  readonly commands: string;
  readonly commandResults: string;
  readonly alerts: string;
  readonly alertsState: string;
  readonly processorState: string;
  readonly pipelineStatus: string;
}

const MiB = 1024 * 1024;
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

export function topicNames(prefix = 'iot.'): TopicNames {
  return {
    raw: `${prefix}telemetry.raw.v1`,
    dlq: `${prefix}telemetry.dlq.v1`,
    late: `${prefix}telemetry.late.v1`,
    readings: `${prefix}telemetry.readings.v1`,
    deviceStatus: `${prefix}device.status.v1`,
    clientSessions: `${prefix}client.sessions.v1`,
    commands: `${prefix}device.commands.v1`,
    commandResults: `${prefix}device.command-results.v1`,
    alerts: `${prefix}alerts.v1`,
    alertsState: `${prefix}alerts.state.v1`,
    processorState: `${prefix}processor.state.v1`,
    pipelineStatus: `${prefix}pipeline.status.v1`,
  };
}

export interface TopicSettings {
  readonly prefix: string;
  /** Fixed at creation: it decides which key is where. */
  readonly partitions: number;
  readonly rawRetentionMs: number | null;
  readonly rawRetentionBytes: number | null;
}

/**
 * Every topic with its settings; that of readings where it is asked for. Per-device topics share the partition count, so
 * that a key has one place in all.
 */
export function topicSpecs(settings: TopicSettings, { readings = false } = {}): TopicSpec[] {
  const names = topicNames(settings.prefix);
  const { partitions } = settings;
  const keep = (name: string, retentionMs: number | null, maxMessageBytes: number): TopicSpec => ({
    name,
    partitions,
    cleanup: 'delete',
    retentionMs,
    retentionBytes: null,
    maxMessageBytes,
  });
  const compact = (name: string, count: number, maxMessageBytes: number): TopicSpec => ({
    name,
    partitions: count,
    cleanup: 'compact',
    retentionMs: null,
    retentionBytes: null,
    maxMessageBytes,
  });
  return [
    { ...keep(names.raw, settings.rawRetentionMs, MiB), retentionBytes: settings.rawRetentionBytes },
    keep(names.dlq, 30 * DAY_MS, 2 * MiB),
    keep(names.late, 30 * DAY_MS, 2 * MiB),
    ...(readings
      ? [
          {
            ...keep(names.readings, settings.rawRetentionMs, 2 * MiB),
            retentionBytes: settings.rawRetentionBytes,
          },
        ]
      : []),
    compact(names.deviceStatus, partitions, MiB),
    // Nobody reads what was told before: client ids are many, and some are used once.
    { ...keep(names.clientSessions, HOUR_MS, MiB), partitions: 1 },
    // Longer than the longest that a command may wait.
    keep(names.commands, 2 * DAY_MS, MiB),
    keep(names.commandResults, 7 * DAY_MS, MiB),
    keep(names.alerts, 30 * DAY_MS, MiB),
    compact(names.alertsState, partitions, MiB),
    compact(names.processorState, partitions, 2 * MiB),
    compact(names.pipelineStatus, 1, 2 * MiB),
  ];
}

/** Names of the record headers that cross a boundary. */
export const headers = {
  /** Gateway run + counter, set once when the message is taken: `RUN-COUNTER`. Counters of a run rise within a partition. */
  ingestId: 'ingest.id',
  mqttTopic: 'mqtt.topic',
  /** Only where it adds something: the client id when it is not the device. */
  mqttClient: 'mqtt.client',
  /** `1` when the device asked to retain the message. */
  mqttRetain: 'mqtt.retain',
  /** Marks a tick: no value, only its timestamp counts. */
  tick: 'sluice.tick',
  dlqReason: 'dlq.reason',
  dlqError: 'dlq.error',
  /** Where a dead-lettered or late record came from; together its identity. */
  sourceTopic: 'source.topic',
  sourcePartition: 'source.partition',
  sourceOffset: 'source.offset',
  /** Which reading of the message, from 0; absent when the whole message is meant. */
  sourceIndex: 'source.index',
  commandId: 'command.id',
  /** Of a command: until when it may be sent, ms since the epoch. */
  commandExpires: 'command.expires',
  /** Of a command: `1` when it is to be delivered now or never. */
  commandNow: 'command.now',
  /** Of an outcome, which has no value: what became of the command. */
  commandOutcome: 'command.outcome',
  /** Of an outcome: the gateway run that says so. */
  commandGateway: 'command.gateway',
} as const;
