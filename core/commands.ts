/** Commands to devices, in the words that the web side, the gateways and readers of the bus share: `docs/commands.md`. */
import type { CommandRefusedReason } from './reasons.ts';

/** The longest that a command may wait for its device. */
export const longestExpiryMs = 86_400_000;
/** How long one waits that is to be delivered now or never. */
export const nowOrNeverMs = 5000;
const idForm = /^[A-Za-z0-9._~-]{1,64}$/;

/** Of commands to one device; those of two may have the same. */
export function isCommandId(id: string): boolean {
  return idForm.test(id);
}

/** What someone says of a command on the commands topic. The first outcome in the log of its partition counts. */
export const commandOutcomes = ['acknowledged', 'expired', 'offline'] as const;
export type CommandOutcome = (typeof commandOutcomes)[number];

/** How commands end: each in exactly one of these. */
export const commandEnds = ['delivered', 'expired', 'offline', 'refused'] as const;
export type CommandEnd = (typeof commandEnds)[number];

/** On the results topic, key `site/device`. Follows from the commands topic alone: told twice, it is the same twice. */
export interface CommandResult {
  readonly id: string;
  readonly site: string;
  readonly device: string;
  readonly result: CommandEnd;
  /** Why it was refused, else `null`. */
  readonly reason: CommandRefusedReason | null;
  /** Milliseconds since the epoch. */
  readonly requestedAtMs: number;
  readonly expiresAtMs: number;
  readonly atMs: number;
  /** The run of the gateway that said so; `null` when refused. */
  readonly gateway: string | null;
}
