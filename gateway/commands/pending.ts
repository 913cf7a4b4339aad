/**
 * The commands of one partition of the commands topic that have no end yet: what its log makes of them, and nothing else.
 * Who reads the same records knows the same. The first outcome of a command counts, and of commands with one id the first.
 */
import type { CommandEnd, CommandOutcome, CommandResult } from '../../core/commands.ts';
import type { CommandRefusedReason } from '../../core/reasons.ts';
import { type Command, nameOf, type Outcome } from './entries.ts';

/** At each of these a further command is refused. */
const maxOfDevice = { commands: 100, bytes: 1024 * 1024 };
const maxOfPartition = { commands: 5000, bytes: 4 * 1024 * 1024 };
/** Commands that ended and are remembered: one more with the id of one of them is none. */
export const maxEnded = 5000;

const ends: Readonly<Record<CommandOutcome, CommandEnd>> = {
  acknowledged: 'delivered',
  expired: 'expired',
  offline: 'offline',
};

interface Share {
  readonly commands: Set<Command>;
  bytes: number;
}

export class PendingCommands {
  /** In the order of the log. */
  readonly #pending = new Map<string, Command>();
  readonly #devices = new Map<string, Share>();
  readonly #ended = new Set<string>();
  #bytes = 0;

  /** `ended`: names of commands that ended before. */
  constructor(ended: Iterable<string> = []) {
    for (const name of ended) this.#remember(name);
  }

  get count(): number {
    return this.#pending.size;
  }

  /** In the order of the log. */
  all(): Iterable<Command> {
    return this.#pending.values();
  }

  /** Of one device, in the order of the log. */
  of(key: string): Iterable<Command> {
    return this.#devices.get(key)?.commands ?? [];
  }

  /** Keys of the devices that have any. */
  devices(): Iterable<string> {
    return this.#devices.keys();
  }

  /** Of the oldest; `null` when there is none. */
  get firstOffset(): number | null {
    return this.#pending.values().next().value?.offset ?? null;
  }

  /** The end of a command that the record brings; `null`: none. */
  apply(entry: Command | Outcome): CommandResult | null {
    return entry.kind === 'command' ? this.#add(entry) : this.#end(entry);
  }

  #add(command: Command): CommandResult | null {
    const name = nameOf(command);
    if (this.#pending.has(name) || this.#ended.has(name)) return null;
    const reason = this.#refusal(command);
    if (reason !== null) {
      this.#remember(name);
      return resultOf(command, { result: 'refused', reason, atMs: command.requestedAtMs, gateway: null });
    }
    const share = this.#devices.get(command.key) ?? { commands: new Set(), bytes: 0 };
    this.#devices.set(command.key, share);
    this.#pending.set(name, command);
    share.commands.add(command);
    this.#count(share, command.payload.length);
    return null;
  }

  #refusal({ key, payload }: Command): CommandRefusedReason | null {
    const share = this.#devices.get(key);
    const bytes = (share?.bytes ?? 0) + payload.length;
    if ((share?.commands.size ?? 0) >= maxOfDevice.commands || bytes > maxOfDevice.bytes) return 'device_full';
    const isFull = this.#pending.size >= maxOfPartition.commands || this.#bytes + payload.length > maxOfPartition.bytes;
    return isFull ? 'partition_full' : null;
  }

  #end({ key, id, outcome, atMs, gateway }: Outcome): CommandResult | null {
    const name = nameOf({ key, id });
    const command = this.#pending.get(name);
    if (command === undefined) return null;
    const share = this.#devices.get(key)!;
    this.#pending.delete(name);
    share.commands.delete(command);
    this.#count(share, -command.payload.length);
    if (share.commands.size === 0) this.#devices.delete(key);
    this.#remember(name);
    return resultOf(command, { result: ends[outcome], reason: null, atMs, gateway });
  }

  #count(share: Share, bytes: number): void {
    share.bytes += bytes;
    this.#bytes += bytes;
  }

  #remember(name: string): void {
    this.#ended.add(name);
    if (this.#ended.size > maxEnded) this.#ended.delete(this.#ended.keys().next().value!);
  }
}

function resultOf(
  { id, site, device, requestedAtMs, expiresAtMs }: Command,
  end: Pick<CommandResult, 'result' | 'reason' | 'atMs' | 'gateway'>,
): CommandResult {
  const { result, reason, atMs, gateway } = end;
  return { id, site, device, result, reason, requestedAtMs, expiresAtMs, atMs, gateway };
}
