/** What the page reads from the bus, parsed once: a record of a newer program or of a stranger is no reason to stop. */
import { z } from 'zod';
import type { BusRecord } from '../bus/port.ts';
import type { Alert } from '../core/alert.ts';
import { gatewayLedgerSchema, partitionLedgerSchema } from '../core/ledger-schema.ts';
import type { PipelineStatus } from '../core/status.ts';

const counter = z.number().min(0);
const text = z.string();
const optionalText = text.nullable();

const role = {
  instance: text,
  version: text,
  startedAtMs: z.number(),
  atMs: z.number(),
  ready: z.boolean(),
  problems: z.array(text),
};

const partition = z.object({
  position: counter,
  endOffset: counter,
  clockMs: z.number(),
  ledger: partitionLedgerSchema,
});

const spool = z.object({
  records: counter,
  bytes: counter,
  maxBytes: counter,
  oldestMs: z.number().nullable(),
  spooled: counter,
  drained: counter,
});

const skewed = z.object({
  count: counter,
  worst: z.array(z.object({ site: text, device: text, skewMs: z.number() })),
});

const presence = z.object({ devices: counter, waiting: counter, givenUp: counter, lost: counter });

const commands = z.object({
  pending: counter,
  ended: z.record(text, counter),
  sent: counter,
  errorsTold: counter,
  errorsUntold: z.record(text, counter),
});
const noCommands = { pending: 0, ended: {}, sent: 0, errorsTold: 0, errorsUntold: {} };

const pipelineStatus: z.ZodType<PipelineStatus> = z.discriminatedUnion('role', [
  z.object({
    role: z.literal('gateway'),
    ...role,
    warnings: z.array(text).default([]),
    connections: counter.default(0),
    clients: counter,
    mqtt: z.object({ host: text, port: z.number() }).nullable(),
    tls: z.object({ host: text, port: z.number(), certificateEndsMs: z.number() }).nullable().default(null),
    anonymous: z.boolean().default(true),
    ledger: gatewayLedgerSchema,
    heldBytes: counter.default(0),
    readAheadBytes: counter.default(0),
    throttled: counter,
    slowed: counter.default(0),
    connectsDelayed: counter.default(0),
    loginsFailed: counter.default(0),
    loginsDelayed: counter.default(0),
    closed: z.record(text, counter).default({}),
    ackMs: z.object({ p50: z.number(), p99: z.number() }).nullable(),
    spool: spool.nullable().default(null),
    commands: commands.default(noCommands),
    presence: presence.default({ devices: 0, waiting: 0, givenUp: 0, lost: 0 }),
  }),
  z.object({
    role: z.literal('processor'),
    ...role,
    partitions: z.record(text, partition),
    pointsWritten: counter,
    rollupsWritten: counter,
    alertsRaised: counter,
    devices: counter,
    skewed: skewed.default({ count: 0, worst: [] }),
  }),
  z.object({ role: z.literal('web'), ...role }),
]);

const alert: z.ZodType<Alert> = z.object({
  id: text,
  fingerprint: text,
  episodeId: text,
  seq: z.number(),
  rule: text,
  ruleVersion: text,
  severity: z.enum(['info', 'warning', 'critical']),
  status: z.enum(['pending', 'firing', 'resolved']),
  site: text,
  device: text,
  value: z.number(),
  threshold: z.number(),
  startsAt: text,
  firedAt: optionalText,
  endsAt: optionalText,
  windowStart: optionalText,
  windowEnd: optionalText,
  reason: z.enum(['threshold', 'cleared', 'not_sustained', 'rule_removed', 'device_forgotten']),
  labels: z.record(text, text),
  summary: text,
});

/** `null`: not a record of the kind. */
export const statusOf = (record: BusRecord) => parsed(pipelineStatus, record);
export const alertOf = (record: BusRecord) => parsed(alert, record);

function parsed<T>(schema: z.ZodType<T>, { value }: BusRecord): T | null {
  if (value === null) return null;
  try {
    return schema.safeParse(JSON.parse(value.toString())).data ?? null;
  } catch {
    return null;
  }
}
