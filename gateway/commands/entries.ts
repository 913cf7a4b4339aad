/**
 * What is on the commands topic: commands, and what gateways say became of them. Both have the key of the device, so the
 * log of one partition tells in which order they came.
 */
import type { BusRecord, NewRecord } from '../../bus/port.ts';
import {
  type CommandOutcome,
  type CommandResult,
  commandOutcomes,
  isCommandId,
  longestExpiryMs,
} from '../../core/commands.ts';
import { deviceKey } from '../../core/reading.ts';
import { headers } from '../../core/topics.ts';
import { deviceOf, topicToDevice } from '../identity/to-device.ts';

export interface Command {
  readonly kind: 'command';
  readonly id: string;
  readonly site: string;
  readonly device: string;
  /** `site/device`. */
  readonly key: string;
  /** Where it is sent. */
  readonly topic: string;
  readonly payload: Buffer;
  readonly partition: number;
  readonly offset: number;
  readonly requestedAtMs: number;
  /** Not sent from then on. */
  readonly expiresAtMs: number;
  /** Now or never. */
  readonly isNow: boolean;
}

export interface Outcome {
  readonly kind: 'outcome';
  readonly id: string;
  readonly key: string;
  readonly outcome: CommandOutcome;
  readonly atMs: number;
  readonly gateway: string;
}

/** `null`: it is neither, a stranger wrote it. */
export function entryOf(record: BusRecord): Command | Outcome | null {
  const id = record.headers[headers.commandId];
  if (id === undefined || !isCommandId(id)) return null;
  const outcome = record.headers[headers.commandOutcome];
  return outcome === undefined ? commandOf(record, id) : outcomeOf(record, id, outcome);
}

/** What makes a command or an outcome known by its name: the same id to two devices is two commands. */
export function nameOf({ key, id }: { readonly key: string; readonly id: string }): string {
  return `${key}\n${id}`;
}

/** Where the command is: only there is it an outcome of it. */
export function outcomeRecord(command: Command, outcome: CommandOutcome, gateway: string, nowMs: number): NewRecord {
  const { key, partition, id } = command;
  return {
    key,
    partition,
    value: null,
    headers: {
      [headers.commandId]: id,
      [headers.commandOutcome]: outcome,
      [headers.commandGateway]: gateway,
    },
    timestampMs: nowMs,
  };
}

/** `partition`: that of the command. */
export function resultRecord(result: CommandResult, partition: number): NewRecord {
  return {
    key: deviceKey(result.site, result.device),
    partition,
    value: Buffer.from(JSON.stringify(result)),
    headers: { [headers.commandId]: result.id, 'content-type': 'application/json' },
    timestampMs: result.atMs,
  };
}

function commandOf(record: BusRecord, id: string): Command | null {
  const { key, value, headers: given, timestampMs, partition, offset } = record;
  const slash = key.indexOf('/');
  const topic = topicToDevice(key.slice(0, slash), key.slice(slash + 1), 'commands');
  const to = deviceOf(topic);
  const expiresAtMs = Number(given[headers.commandExpires]);
  if (slash < 1 || to === null || !Number.isSafeInteger(expiresAtMs)) return null;
  return {
    kind: 'command',
    id,
    site: to.site,
    device: to.device,
    key,
    topic,
    payload: value ?? Buffer.alloc(0),
    partition,
    offset,
    requestedAtMs: timestampMs,
    expiresAtMs: Math.min(expiresAtMs, timestampMs + longestExpiryMs),
    isNow: given[headers.commandNow] === '1',
  };
}

function outcomeOf({ key, headers: given, timestampMs }: BusRecord, id: string, text: string): Outcome | null {
  const outcome = commandOutcomes.find((known) => known === text);
  if (outcome === undefined) return null;
  return { kind: 'outcome', id, key, outcome, atMs: timestampMs, gateway: given[headers.commandGateway] ?? '' };
}
